# Image for the CPU, x64 or arm64. See docs/docker.md.
# Debian 13, because the binary of uWebSockets.js for Node 24 needs glibc 2.38.
ARG NODE_IMAGE=node:24-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN node scripts/build.mjs

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY scripts/prune.mjs scripts/
RUN node scripts/prune.mjs

FROM ${NODE_IMAGE}
# A loopback address is not reachable from outside the container.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8000
WORKDIR /app
COPY LICENSE NOTICE package.json ./
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
# A new volume inherits the owner of this folder.
RUN mkdir models && chown 1000:1000 models
# The user "node" of the base image. Orchestrators that enforce a non-root user need its numeric id.
USER 1000:1000
VOLUME /app/models
EXPOSE 8000
# The first start may download a model of 669 MB before it listens.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
