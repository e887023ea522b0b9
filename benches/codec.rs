//! What the codec costs: `cargo bench --bench codec`.

use std::hint::black_box;

use acsd::cwmp::codec::{Limits, decode, encode, to_text};
use acsd::cwmp::emission::Emission;
use acsd::cwmp::message::acs::{ParameterValues, SetParameterValues};
use acsd::cwmp::message::inform::ParameterValueStruct;
use acsd::cwmp::message::{Body, Header, Request, Response};
use acsd::types::value::XsdType;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const INFORM: &[u8] = include_bytes!("../fixtures/zte/inform-periodic.xml");

fn parameters(count: usize) -> Vec<ParameterValueStruct<'static>> {
    let name = |at| format!("InternetGatewayDevice.LANDevice.1.Hosts.Host.{at}.IPAddress");
    (0..count).map(|at| ParameterValueStruct::new(name(at), format!("192.0.2.{}", at % 256), XsdType::String)).collect()
}

fn decoding(criterion: &mut Criterion) {
    let body = Body::Response(Response::GetParameterValues(ParameterValues { parameters: parameters(1500) }));
    let mut values = Vec::new();
    encode(&Header::default(), &body, &Emission::default(), &mut values);
    let mut group = criterion.benchmark_group("decode");
    for (name, bytes) in [("Inform", INFORM), ("GetParameterValuesResponse of 1500", &values)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let text = to_text(black_box(bytes), Some("utf-8"));
                decode(&text, &Limits::default()).map(|envelope| black_box(&envelope).header.id.is_some())
            });
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let header = Header { id: Some("1000".into()), ..Header::default() };
    let set = SetParameterValues { parameters: parameters(30), parameter_key: "42".into() };
    let bodies = [
        ("InformResponse", Body::Response(Response::Inform)),
        ("SetParameterValues of 30", Body::Request(Request::SetParameterValues(set))),
    ];
    let mut group = criterion.benchmark_group("encode");
    for (name, body) in bodies {
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(black_box(&header), black_box(&body), &Emission::default(), &mut out);
                black_box(&out).len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decoding, encoding);
criterion_main!(benches);
