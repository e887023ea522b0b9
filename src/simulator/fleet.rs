//! Many CPEs at once, alike but for their serial numbers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::config::{Autonomy, ConnectionRequests, CpeConfig};
use super::cpe::{self, CpeHandle};
use super::listener::ConnectionRequestListener;
use super::model::DataModel;
use super::stats::{Counters, Summary};

/// Who has which data model.
#[derive(Debug, Clone)]
pub enum FleetModel {
    /// Everybody this one.
    Same(Arc<DataModel>),
    /// TR-181 and TR-098 in turn.
    Mixed,
}

/// What a fleet is told before it starts.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// What all have in common; its serial number, data model, autonomy, permits and counters are replaced.
    pub cpe: CpeConfig,
    /// How many there are.
    pub count: u32,
    /// Serial numbers are this and a number of at least six digits, from 1.
    pub serial_prefix: String,
    /// Their data models.
    pub model: FleetModel,
    /// First contacts are spread evenly over this time.
    pub ramp: Duration,
    /// Sessions at once; `None` sets no limit.
    pub concurrency: Option<usize>,
    /// Where all of them can be woken, if they can.
    pub connection_request_listen: Option<SocketAddr>,
}

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    cpes: Vec<CpeHandle>,
    counters: Arc<Counters>,
}

impl Fleet {
    /// Starts every CPE.
    ///
    /// # Errors
    /// When the connection-request listener cannot be bound.
    pub async fn start(config: FleetConfig) -> std::io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let permits = config.concurrency.map(|limit| Arc::new(Semaphore::new(limit.max(1))));
        let listener = match config.connection_request_listen {
            Some(address) => Some(ConnectionRequestListener::bind(address).await?),
            None => None,
        };
        let mut cpes = Vec::with_capacity(usize::try_from(config.count).unwrap_or(0));
        for number in 1..=config.count {
            let mut one = config.cpe.clone();
            one.identity.serial_number = format!("{}{number:06}", config.serial_prefix);
            one.data_model = match &config.model {
                FleetModel::Same(model) => Arc::clone(model),
                FleetModel::Mixed if number % 2 == 1 => DataModel::tr181(),
                FleetModel::Mixed => DataModel::tr098(),
            };
            one.autonomy = match config.cpe.autonomy {
                Autonomy::OnDemand => Autonomy::OnDemand,
                Autonomy::Immediate | Autonomy::After(_) => {
                    Autonomy::After(config.ramp.mul_f64(f64::from(number - 1) / f64::from(config.count)))
                }
            };
            if let Some(listener) = &listener {
                one.connection_requests = ConnectionRequests::Shared(Arc::clone(listener));
            }
            one.session_permits.clone_from(&permits);
            one.counters = Some(Arc::clone(&counters));
            cpes.push(cpe::spawn(one).await?);
        }
        Ok(Self { cpes, counters })
    }

    /// The CPEs, in the order of their numbers.
    #[must_use]
    pub fn cpes(&self) -> &[CpeHandle] {
        &self.cpes
    }

    /// What was counted so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.counters.summary()
    }

    /// Stops every CPE; open sessions end first. Gives what was counted in all.
    pub async fn stop(self) -> Summary {
        for cpe in &self.cpes {
            cpe.begin_stop();
        }
        for cpe in self.cpes {
            cpe.stop().await;
        }
        self.counters.summary()
    }
}
