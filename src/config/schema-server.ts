import type * as z from 'zod';
import { choice, flag, integer, listOf, nonEmpty, secretText, section, text } from './fields.js';
import { databaseUrl, duration, listenAddress, size } from './units.js';

/** `server`, `logging` and `storage`. */

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'];
const HEADERS = [
  ...['authorization', 'content-type', 'idempotency-key'],
  ...['x-waybill-tags', 'x-waybill-region', 'x-waybill-provider-key'],
];
const PORT_PATH = /^\/[\w./-]*$/;

const cors = section({
  enabled: flag().prefault(false).describe('Answers browsers from other origins.'),
  allowed_origins: listOf(nonEmpty('an origin such as https://app.example.com'), 'origins')
    .prefault([])
    .describe('Origins that may call; "*" for any.'),
  allowed_methods: listOf(text({ expects: 'a method such as POST', pattern: /^[A-Za-z]+$/ }), 'methods')
    .prefault(METHODS)
    .describe('Methods a browser may use.'),
  allowed_headers: listOf(nonEmpty('a header name'), 'header names')
    .prefault(HEADERS)
    .describe('Headers a browser may send.'),
  allow_credentials: flag().prefault(false).describe('Lets browsers send cookies; never together with "*".'),
  max_age: integer({ min: 0, max: 604_800 }).prefault(86_400).describe('Seconds a browser may keep the answer.'),
});

export const serverSection = section({
  listen: listenAddress()
    .prefault('127.0.0.1:2906')
    .describe('Address and port; ":2906" is every interface. The variable PORT overrides the port.'),
  admin_api_key: secretText('a key')
    .optional()
    .describe('Key of the admin API. Without one the admin API answers on loopback only.'),
  body_limit: size().prefault('20mb').describe('Largest request body.'),
  shutdown_grace: duration()
    .prefault('30s')
    .describe('How long running requests may take to end when the daemon stops.'),
  trust_proxy: flag().prefault(false).describe('Believes X-Forwarded-For and X-Forwarded-Proto.'),
  cors: cors.prefault({}).describe('Calls from browsers.'),
  webui: section({
    enabled: flag().prefault(true).describe('Serves the dashboard under /ui/.'),
    admin_id: nonEmpty('a name').optional().describe('Name of a login beside the admin key.'),
    admin_password: secretText('a password').optional().describe('Password of that login.'),
  })
    .prefault({})
    .describe('The dashboard.'),
});

export const loggingSection = section({
  level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
    .prefault('info')
    .describe('The least important lines that are written.'),
  format: choice(['json', 'pretty']).prefault('json').describe('One JSON object a line, or lines for people.'),
  file: section({
    enabled: flag().prefault(false).describe('Writes the log to a file too.'),
    path: nonEmpty('a path').prefault('./logs/waybill.log').describe('The file.'),
    max_size_mb: integer({ min: 1, max: 10_000 }).prefault(100).describe('Megabytes after which a new file begins.'),
    max_backups: integer({ min: 0, max: 1000 }).prefault(5).describe('Old files that are kept.'),
  })
    .prefault({})
    .describe('The log as a file, rotated.'),
  prometheus: section({
    enabled: flag().prefault(true).describe('Serves metrics.'),
    endpoint: text({ expects: 'a path such as /metrics', pattern: PORT_PATH })
      .prefault('/metrics')
      .describe('Where the metrics are.'),
    public: flag().prefault(false).describe('Serves metrics without the admin key to other machines too.'),
  })
    .prefault({})
    .describe('Metrics in the form Prometheus reads.'),
  prompts: flag().prefault(false).describe('Logs the text of prompts and answers. Never on by default.'),
});

const ledger = section({
  type: choice(['sqlite', 'postgres'])
    .prefault('sqlite')
    .describe('The database that keeps every request and its cost.'),
  path: nonEmpty('a path').optional().describe('sqlite: the file. Default ./data/waybill.db.'),
  url: databaseUrl(['postgres', 'postgresql'], 'postgres://user:password@host/database')
    .optional()
    .describe('postgres: the database.'),
  pool: integer({ min: 1, max: 1000 }).prefault(10).describe('postgres: connections.'),
  durability: choice(['process', 'power'])
    .prefault('process')
    .describe('What a commit survives: the end of the process, or of the machine.'),
  retention_days: integer({ min: 1, max: 36_500, hint: 'left out to keep everything' })
    .optional()
    .describe('Days that single requests are kept; totals are kept for ever.'),
});

const shared = section({
  type: choice(['none', 'redis'])
    .prefault('none')
    .describe('Where limits, cooldowns and budgets of several processes meet.'),
  url: databaseUrl(['redis', 'rediss'], 'redis://host:6379').optional().describe('redis: the server.'),
  on_failure: choice(['local', 'refuse'])
    .prefault('local')
    .describe('Without Redis: each process takes its share of the limits, or requests are refused.'),
  lease: duration({ minMs: 1000 }).prefault('15s').describe('After this a dead process has given back what it held.'),
});

export const storageSection = section({
  ledger: ledger.prefault({}).describe('The ledger.'),
  shared: shared.prefault({}).describe('State shared by several processes.'),
});

export type ServerFile = z.output<typeof serverSection>;
export type LoggingFile = z.output<typeof loggingSection>;
export type StorageFile = z.output<typeof storageSection>;
