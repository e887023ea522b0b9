//! What a transaction has to know before it starts: what it is to bring, from the record and the catalogues as they are
//! just then, and what is known of the parameters that it names.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::seal::SealError;
use crate::cwmp::emission::EmissionFlags;
use crate::devices::keeper::upkeep::Sources;
use crate::diagnostics;
use crate::model::device::{Device, Setting};
use crate::model::transaction::{OpenWork, Transaction, TransactionFault, Work};
use crate::model::wanted::{Basis, Unopenable, WantedConfiguration};
use crate::store::{Page, ParameterQuery, StoreError};
use crate::tasks::plan::{self, Attributes, Context, KnownNames, Wanted};
use crate::types::path::ObjectPath;
use crate::types::secret::{Sealed, Secret};
use crate::types::time::Timestamp;

use super::super::sessions::Live;
use super::turn::jitter;
use super::{DriverConfig, Inner};

impl Inner {
    /// Gathers what the procedure has to know before it starts. What it writes, in clear; the fault that it fails with when
    /// a secret of it does not open.
    pub(super) async fn prepare(
        &self,
        live: &mut Live,
        transaction: &Transaction,
    ) -> Result<Result<OpenWork, TransactionFault>, StoreError> {
        let store = &self.services.store;
        live.known.clear();
        (live.wanted, live.wanted_login) = (None, None);
        let fresh = match transaction.work {
            Work::Configure(_) | Work::Sync | Work::Reconfigure | Work::DeviceFactory => {
                store.device(live.device).await?
            }
            Work::Get { .. }
            | Work::Set { .. }
            | Work::AddObject { .. }
            | Work::DeleteObject { .. }
            | Work::Reboot
            | Work::FactoryReset
            | Work::Diagnose(_)
            | Work::Download(_)
            | Work::Upload(_)
            | Work::Call(_)
            | Work::Discover { .. } => None,
        };
        let wanted = fresh.as_ref().map(|device| self.wanted(device, &transaction.work, live.flags)).transpose();
        let clear = match wanted.and_then(|wanted| Ok((wanted, transaction.work.open(&|sealed| self.unseal(sealed))?)))
        {
            Ok((wanted, clear)) => {
                live.wanted = wanted.flatten().or_else(|| self.transfer(live, transaction));
                Ok(clear)
            }
            Err(error) => {
                let id = transaction.id;
                tracing::error!(error = &error as &dyn Error, transaction.id = %id, "transaction {id} cannot be carried out");
                Err(plan::unopenable(&error))
            }
        };
        let known = match &transaction.work {
            Work::Set { assignments } => {
                let paths: Vec<&str> = assignments.iter().map(|assignment| assignment.path.as_str()).collect();
                store.known(live.device, &paths).await?
            }
            Work::Configure(setting) => {
                let mut paths = plan::setting_paths(live.snapshot.state.data_model.root(), *setting);
                if let Some(Wanted::Location { path, .. }) = &live.wanted {
                    paths.push(path.as_str().to_owned());
                }
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                store.known(live.device, &paths).await?
            }
            Work::Sync | Work::Reconfigure | Work::DeviceFactory => {
                let paths = live.wanted.as_ref().map(fixed_paths).unwrap_or_default();
                store.known(live.device, &paths).await?
            }
            Work::Diagnose(order) => {
                let scan = live.device_type.neighbor_scan.as_ref();
                let paths = diagnostics::site::paths(order, live.snapshot.state.data_model, scan);
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                store.known(live.device, &paths).await?
            }
            Work::Discover { below } => {
                self.load_names(live, below.as_ref(), plan::walked(transaction)).await?;
                Vec::new()
            }
            Work::Get { .. }
            | Work::AddObject { .. }
            | Work::DeleteObject { .. }
            | Work::Reboot
            | Work::FactoryReset
            | Work::Download(_)
            | Work::Upload(_)
            | Work::Call(_) => Vec::new(),
        };
        live.known = known.into_iter().flatten().map(|parameter| (parameter.path.clone(), parameter)).collect();
        if transaction.work == Work::Configure(Setting::Credentials) {
            live.wanted_login = fresh.and_then(|device| device.profile.credentials.next);
        }
        Ok(clear)
    }

    /// The names that are known of a subtree, or of all, behind those that were walked before: what a discovery does not find
    /// there any more is forgotten.
    async fn load_names(&self, live: &mut Live, below: Option<&ObjectPath>, walked: &str) -> Result<(), StoreError> {
        let Some(walk) = &mut live.walk else { return Ok(()) };
        let query = ParameterQuery { prefix: below.map_or("", ObjectPath::as_str), search: "" };
        let all = Page { offset: 0, limit: u32::MAX };
        let known = self.services.store.parameters(live.device, query, all).await?;
        let paths = known.items.iter().map(|parameter| &*parameter.path);
        walk.names = KnownNames::of(paths.filter(|path| *path > walked));
        Ok(())
    }

    fn unseal(&self, sealed: &Sealed) -> Result<Secret, SealError> {
        self.services.sealer.open(sealed)
    }

    /// What the work is to bring, from the record and the catalogues as they are now.
    fn wanted(&self, device: &Device, work: &Work, flags: EmissionFlags) -> Result<Option<Wanted>, Unopenable> {
        let sources = Sources::of(&*self.services.store, &device.profile);
        let basis = sources.basis(&device.profile, &device.state);
        let effective = match work {
            Work::Configure(setting) => return Ok(self.wanted_setting(device, &basis, *setting)),
            Work::Sync | Work::Reconfigure => basis.effective(&|sealed| self.unseal(sealed))?,
            Work::DeviceFactory => basis.device_factory(&|sealed| self.unseal(sealed))?,
            Work::Get { .. }
            | Work::Set { .. }
            | Work::AddObject { .. }
            | Work::DeleteObject { .. }
            | Work::Reboot
            | Work::FactoryReset
            | Work::Diagnose(_)
            | Work::Download(_)
            | Work::Upload(_)
            | Work::Call(_)
            | Work::Discover { .. } => None,
        };
        let Some(effective) = effective else { return Ok(None) };
        let configured = device.state.configured;
        Ok(Some(Wanted::Configuration {
            effective: Arc::new(effective),
            applied: configured.mark.filter(|_| !configured.failed),
            attributes: attributes(flags),
        }))
    }

    /// What a setting's value is to be.
    fn wanted_setting(&self, device: &Device, basis: &Basis<'_>, setting: Setting) -> Option<Wanted> {
        let credentials = &device.profile.credentials;
        let login = match setting {
            Setting::UpdateFrequency => {
                let fallback_secs = self.config.fallback_interval_secs;
                return Some(Wanted::Interval { secs: basis.update_frequency(), fallback_secs });
            }
            Setting::LocationUpdate => {
                let path = basis.location_parameter()?.clone();
                return Some(Wanted::Location { path, name: basis.location_name().to_owned() });
            }
            Setting::Credentials => credentials.next.as_ref()?,
            Setting::ConnectionRequest => credentials.connection_request.as_ref()?,
            Setting::FirmwareUpgrade => return None,
        };
        match self.services.sealer.open(&login.password) {
            Ok(password) => Some(Wanted::Login { username: login.username.clone(), password }),
            Err(error) => {
                tracing::error!(%error, device.id = %device.key, "a password of device {} cannot be unsealed", device.key);
                None
            }
        }
    }
}

/// The wanted parameters and attributes whose paths are known beforehand.
fn fixed_paths(wanted: &Wanted) -> Vec<&str> {
    match wanted {
        Wanted::Configuration { effective, .. } => {
            let WantedConfiguration { parameters, attributes, .. } = &effective.configuration;
            let attributes = attributes.iter().map(|wanted| wanted.path.as_str());
            parameters.iter().map(|wanted| wanted.path.as_str()).chain(attributes).collect()
        }
        Wanted::Login { .. }
        | Wanted::Interval { .. }
        | Wanted::Location { .. }
        | Wanted::Transfer(_)
        | Wanted::NoTransfer(_) => Vec::new(),
    }
}

const fn attributes(flags: EmissionFlags) -> Attributes {
    if flags.no_attributes { Attributes::Never } else { Attributes::Allowed }
}

/// Of what is no discovery.
static NO_NAMES: KnownNames = KnownNames::none();

/// What a procedure may know while it runs.
pub(super) fn context<'c>(live: &'c Live, config: &'c DriverConfig, now: Timestamp) -> Context<'c> {
    let interval_secs = live.snapshot.state.periodic_interval_secs.unwrap_or(config.fallback_interval_secs);
    Context {
        now,
        data_model: live.snapshot.state.data_model,
        last_boot: live.snapshot.state.last_boot,
        inform_interval: Duration::from_secs(interval_secs.into()),
        boolean_form: live.flags.boolean_form,
        jitter: jitter(),
        known: &live.known,
        names: live.walk.as_ref().map_or(&NO_NAMES, |walk| &walk.names),
        wanted: live.wanted.as_ref(),
        methods: live.snapshot.profile.methods.as_ref(),
        attributes: attributes(live.flags),
        software_version: &live.snapshot.state.software_version,
        device_type: &live.device_type,
        limits: &config.plan,
    }
}
