# Builds from a clean checkout: docker build -t waybill .
FROM node:22-bookworm-slim AS build
WORKDIR /app
# better-sqlite3 brings a built binary for common machines; these compile it where there is none.
RUN apt-get update && apt-get install -y --no-install-recommends python3 make g++ && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json ./
# The package's own scripts need the source, which comes later; its dependencies' scripts run with `rebuild`.
RUN npm ci --ignore-scripts --no-audit --no-fund && npm rebuild
COPY build.mjs tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY LICENSE config.example.yaml ./
# The ledger lives here; everything else may be read-only.
RUN mkdir /data && chown node:node /data && ln -s /data /app/data
VOLUME /data
USER node
EXPOSE 2906
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 2906}/health/live`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Mount a config file at /etc/waybill/config.yaml; it must listen on ":2906" to be reached from outside the container.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve"]
