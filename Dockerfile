# docker build -t acsd .
# docker run -p 7547:7547 -p 127.0.0.1:8080:8080 -v acsd-data:/var/lib/acsd acsd
#
# The first start prints the admin token and the onboarding credential once: `docker logs` has them. The API listens on all
# addresses inside the container, so publish its port to loopback, as above, or configure TLS.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin acsd && cp target/release/acsd /usr/local/bin/acsd

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/acsd --shell /usr/sbin/nologin acsd \
    && install -d -o acsd -g acsd -m 0700 /var/lib/acsd
COPY --from=build /usr/local/bin/acsd /usr/local/bin/acsd
COPY acsd.example.toml LICENSE-MIT LICENSE-APACHE /usr/local/share/doc/acsd/
USER acsd
WORKDIR /var/lib/acsd
ENV ACSD_DATA_DIR=/var/lib/acsd ACSD_API_LISTEN=[::]:8080
VOLUME /var/lib/acsd
EXPOSE 7547 7548 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["acsd"]
CMD ["serve"]
