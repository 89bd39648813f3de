# docker build -t hostler .                              Hostler with HAProxy in the image (the default)
# docker build -t hostler:sidecar --target sidecar .     Hostler alone, for a proxy in a container of its own
#
# Nothing here needs BuildKit. The base image is a Debian or Ubuntu with Node 20.19 or later and npm.
ARG BASE_IMAGE=node:22-bookworm-slim

# One layer, of which only /image is left: what it takes to build Hostler is many times as much, and to store it, or to move files from
# one layer to the next, would take longer than the build itself.
FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY . .
# No package that ends up in the image needs its install script: they only try to compile optional native code.
RUN export npm_config_cache=/build/.npm npm_config_audit=false npm_config_fund=false npm_config_ignore_scripts=true \
  && npm ci \
  && npm run build \
  && npm prune --omit=dev \
  && mkdir -p /image/opt/hostler/scripts /image/usr/local/bin \
  && rm -f node_modules/.package-lock.json \
  && mv dist node_modules templates package.json LICENSE /image/opt/hostler/ \
  && mv scripts/healthcheck.mjs /image/opt/hostler/scripts/ \
  && ln -s /opt/hostler/dist/main.js /image/usr/local/bin/hostler \
  && mv entrypoint.sh /image/usr/local/bin/hostler-entrypoint \
  && chmod 755 /image/usr/local/bin/hostler-entrypoint \
  && chmod -R a+rX /image \
  && cd / && rm -rf /build

# What both images have in common. Fixed numbers, so that volumes can be shared with other containers and across versions.
FROM ${BASE_IMAGE} AS common
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Hostler" \
  org.opencontainers.image.description="Gives every container stack a hostname and keeps HAProxy and Traefik pointed at what runs" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
# Each folder belongs to the user, so that a new volume mounted there does too:
# rendered files for HAProxy; rendered files for Traefik; what survives a restart; sockets shared with a proxy.
RUN groupadd --gid 8008 hostler \
  && useradd --uid 8008 --gid 8008 --no-log-init --no-create-home --home-dir /var/lib/hostler \
    --shell /usr/sbin/nologin hostler \
  && install -d -o hostler -g hostler /usr/local/etc/haproxy /usr/local/etc/haproxy/certs /etc/traefik/dynamic \
    /var/lib/hostler /run/hostler
ENV NODE_ENV=production
WORKDIR /var/lib/hostler
# Hostler ends in order, and its HAProxy with it, on SIGTERM.
STOPSIGNAL SIGTERM
# Healthy: it answers, and what it plans has been in force once. `depends_on: {condition: service_healthy}` thus waits for
# the first files, while an outage of Docker or of a metadata service later on makes nobody restart a proxy that serves.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "/opt/hostler/scripts/healthcheck.mjs"]
ENTRYPOINT ["hostler-entrypoint"]
CMD ["run"]

FROM common AS sidecar
COPY haproxy/haproxy.cfg /usr/local/etc/haproxy/
COPY --from=build /image /
USER hostler

FROM common AS hostler
# The distribution's HAProxy: 2.6 on bookworm, with security updates. It comes before our own files, which change more often.
RUN apt-get update \
  && apt-get install -y --no-install-recommends haproxy \
  && apt-get clean \
  && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /etc/haproxy
COPY haproxy/haproxy.cfg /usr/local/etc/haproxy/
COPY --from=build /image /
EXPOSE 80 443
# Ports below 1024 need no privilege inside a container since Docker 20.10 (net.ipv4.ip_unprivileged_port_start=0). With
# an older Docker, or in the host's network, start the container with `--user root`: the entry point keeps that one
# capability and becomes this user at once. HAProxy gets no file capability: with `cap_drop: [ALL]` it could not be
# executed then.
USER hostler
