//! The calls a CPE makes, besides Inform.

use std::borrow::Cow;

use crate::cwmp::fault::AcsFault;
use crate::cwmp::message::acs::MethodList;
use crate::cwmp::message::cpe::KickedResponse;
use crate::cwmp::message::{Body, Fault, Header, Method, Request, Response, Text};
use crate::devices::onboard::OnboardError;
use crate::events;
use crate::store::StoreError;
use crate::tasks::plan::news;
use crate::telemetry::names;

use super::super::exchange::Answer;
use super::super::sessions::Live;
use super::Inner;

/// What acsd answers `GetRPCMethods` with: the calls it serves.
const SERVED: [Method; 8] = [
    Method::Inform,
    Method::GetRpcMethods,
    Method::TransferComplete,
    Method::AutonomousTransferComplete,
    Method::RequestDownload,
    Method::Kicked,
    Method::DuStateChangeComplete,
    Method::AutonomousDuStateChangeComplete,
];

impl Inner {
    /// Serves a CPE's call. Every standard one has to be answered, even when it means nothing to acsd: an unanswered
    /// `TransferComplete` is delivered for ever (cwmp.md §4.10).
    pub(super) async fn serve(&self, live: &mut Live, id: Option<Text<'_>>, request: &Request<'_>) -> Answer {
        let method = request.method();
        if let Err(error) = self.take_report(live, request).await {
            // Not confirmed: the CPE reports it again.
            return Self::unavailable(&OnboardError::Store(error));
        }
        let recorded = events::transfer(&*self.services.store, &live.snapshot.profile, self.now(), request).await;
        if let Err(error) = recorded {
            // Not confirmed: the CPE reports it again.
            return Self::unavailable(&OnboardError::Store(error));
        }
        self.offer_image(live.device, request).await;
        let body = match request {
            Request::GetRpcMethods => Body::Response(Response::GetRpcMethods(MethodList {
                methods: SERVED.iter().map(|method| Cow::Borrowed(method.name())).collect(),
            })),
            Request::TransferComplete(_) => Body::Response(Response::TransferComplete),
            Request::AutonomousTransferComplete(_) => Body::Response(Response::AutonomousTransferComplete),
            Request::RequestDownload(_) => Body::Response(Response::RequestDownload),
            Request::Kicked(kicked) => {
                Body::Response(Response::Kicked(KickedResponse { next_url: kicked.next.clone() }))
            }
            Request::DuStateChangeComplete(_) => Body::Response(Response::DuStateChangeComplete),
            Request::AutonomousDuStateChangeComplete(_) => Body::Response(Response::AutonomousDuStateChangeComplete),
            // The ACS's own calls have no business coming from a CPE; an Inform never gets here.
            _ => Body::Fault(Fault::from(AcsFault::MethodNotSupported)),
        };
        let result = if matches!(body, Body::Fault(_)) { "fault" } else { "ok" };
        metrics::counter!(names::CPE_CALLS, "rpc" => method.name(), "result" => result).increment(1);
        reply(live, id, &body)
    }

    /// Tells the transactions of the device what the CPE reports. One that this very session carries out, whose call the CPE
    /// has not answered yet, is told as it runs.
    async fn take_report(&self, live: &mut Live, request: &Request<'_>) -> Result<(), StoreError> {
        if !matches!(request, Request::TransferComplete(_) | Request::DuStateChangeComplete(_)) {
            return Ok(());
        }
        let now = self.now();
        if let Some(mut running) = live.running.take() {
            let others = self.services.queue.meant_besides(live.device, running.transaction.id, request).await;
            let results = others.map(|others| news::called(&mut running.transaction, request, others, now));
            let results = match results {
                Ok(results) => results,
                Err(error) => {
                    live.running = Some(running);
                    return Err(error);
                }
            };
            if running.transaction.status.is_final() {
                running.results.extend(results);
                self.settle_reported(running, now).await;
            } else {
                live.running = Some(running);
            }
        }
        self.services.queue.called(live.device, request, now).await
    }

    /// A method that no CWMP version has.
    pub(super) fn unsupported(live: &Live, id: Option<Text<'_>>, method: &str) -> Answer {
        tracing::info!(device.id = %live.device, method, "device {} calls the unknown method {method:?}", live.device);
        metrics::counter!(names::CPE_CALLS, "rpc" => "unknown", "result" => "fault").increment(1);
        reply(live, id, &Body::Fault(Fault::from(AcsFault::MethodNotSupported)))
    }
}

fn reply(live: &Live, id: Option<Text<'_>>, body: &Body<'_>) -> Answer {
    let header = Header { id, ..Header::default() };
    Answer::Envelope { body: Inner::encode(&header, body, live.session.emission()), cookie: None }
}
