import type { RequestListener } from 'node:http';
import { Router } from '@koa/router';
import Koa from 'koa';
import type { BudgetState } from '../domain/budget.js';
import type { Clock, Logger } from '../domain/ports.js';
import { requireAdmin } from './admin/auth.js';
import { budgetsAnswer } from './admin/budgets.js';
import { type ExplainParts, explainRequest } from './admin/explain.js';
import type { MetricsScope } from './admin/metrics.js';
import { type ProviderStatus, providersAnswer } from './admin/providers.js';
import { answerReload, type ReloadOutcome } from './admin/reload.js';
import { readBody } from './body.js';
import type { HttpContext } from './context.js';
import type { Exchange, RequestState } from './exchange.js';
import { openImageEdit, openImageVariation, openTranscription, openTranslation } from './form-request.js';
import { type HotPaths, hotPaths, pastTheRouter } from './hot-paths.js';
import { INFERENCE_PATH, openInference } from './inference.js';
import { type CorsSettings, cors } from './middleware/cors.js';
import { errorAnswers } from './middleware/errors.js';
import { exchangeOf, type NodeExchange } from './node-exchange.js';
import { getModel, listModels, type ModelsParts } from './openai/models.js';
import { jsonRequest, type OpenRequest, openSpeech, textRequest } from './opened-request.js';
import { live, metricsPage, type OpsParts, ready, unrouted } from './ops.js';
import { billing, type PartnerParts } from './partner.js';
import { type PriceParts, priceRequest } from './price.js';
import { type RoutedParts, routedEndpoint } from './routed.js';

/** An answer that is data already. */
export interface PlainAnswer {
  status: number;
  contentType: string;
  body: string;
}

/** What operators' routes ask of the rooms behind them. */
export interface AdminParts {
  effectiveConfig: () => unknown;
  validateConfig: (text: string) => unknown;
  providers: () => ProviderStatus[];
  budgets: () => BudgetState[];
  costReport: (query: URLSearchParams) => PlainAnswer;
  wasteReport: (query: URLSearchParams) => PlainAnswer;
  stats: (query: URLSearchParams) => PlainAnswer;
  metrics: (scope: MetricsScope, query: URLSearchParams) => PlainAnswer;
  listRequests: (query: URLSearchParams) => PlainAnswer;
  getRequest: (inferenceId: string) => PlainAnswer;
  verifyLedger: () => Promise<PlainAnswer>;
  reload: () => Promise<ReloadOutcome>;
}

/** Everything the routes need, of the configuration that is current when a request arrives. */
export interface HttpParts extends RoutedParts, ModelsParts, OpsParts, PriceParts, PartnerParts, ExplainParts {
  admin: AdminParts;
}

export interface HttpOptions {
  current: () => HttpParts;
  cors: () => CorsSettings;
  trustProxy: boolean;
  metricsPath: string | null;
  newId: (at: number) => string;
  clock: Clock;
  logger: Logger;
}

const ROUTED = ['/v1', '/api/v1'];
/** Most requests go to these. */
const HOT_TASKS: ReadonlyArray<readonly [path: string, open: OpenRequest]> = [
  ['/chat/completions', textRequest('chat')],
  ['/embeddings', textRequest('embedding')],
  ['/completions', textRequest('completion')],
];
const ROUTED_TASKS: ReadonlyArray<readonly [path: string, open: OpenRequest<NodeExchange>]> = [
  ...HOT_TASKS,
  ['/images/generations', jsonRequest('image')],
  ['/images/edits', openImageEdit],
  ['/images/variations', openImageVariation],
  ['/audio/speech', openSpeech],
  ['/audio/transcriptions', openTranscription],
  ['/audio/translations', openTranslation],
  ['/rerank', jsonRequest('rerank')],
  ['/moderations', jsonRequest('moderation')],
];
const ADMIN = '/api/admin/v1';

/** What answers requests: all of them through `node:http`, and those of the busiest paths by whatever way they come. */
export interface HttpHandler {
  handle: RequestListener;
  hot: HotPaths;
}

/** The HTTP interface: one middleware for errors, one route a line. */
export function createHttpHandler(options: HttpOptions): HttpHandler {
  const { current, logger } = options;
  const handlers = new Map<string, (exchange: Exchange) => Promise<void>>();
  for (const [path, open] of HOT_TASKS) {
    const handle = routedEndpoint(open, `/v1${path}`, current);
    for (const whole of under(path)) handlers.set(whole, handle);
  }
  const hot = hotPaths({ ...options, handlers });
  const app = new Koa<RequestState>({ proxy: options.trustProxy });
  app.silent = true;
  app.use((ctx, next) => {
    ctx.state = hot.beginRequest();
    return next();
  });
  app.use(errorAnswers(logger));
  app.use(cors(options.cors));

  const router = new Router<RequestState>();
  for (const [path, open] of ROUTED_TASKS) {
    router.post(under(path), ownAnswer(routedEndpoint(open, `/v1${path}`, current)));
  }
  router.post(INFERENCE_PATH, ownAnswer(routedEndpoint(openInference, '/api/inference', current)));
  router.post(under('/price'), priceRequest(current));
  router.post(
    under('/billing'),
    billing(current, () => null),
  );
  router.post('/api/partners/:provider/billing', billing(current, paramOf('provider')));
  router.get(under('/models'), listModels(current));
  router.get(
    /^(?:\/api)?\/v1\/models\/(.+)$/,
    getModel(current, (ctx) => ctx.path.replace(/^(?:\/api)?\/v1\/models\//, '')),
  );
  router.get('/health/live', live);
  router.get('/health/ready', ready(current));
  if (options.metricsPath !== null) router.get(options.metricsPath, metricsPage(current));
  addAdminRoutes(router, current);
  app.use(router.routes());
  app.use((ctx) => unrouted(ctx, allowedMethods(ctx)));
  return { hot, handle: pastTheRouter(app.callback(), hot) };
}

/** Written past koa's own response, whose setters check and look up each header again. */
function ownAnswer(handle: (exchange: NodeExchange) => Promise<void>) {
  return (ctx: HttpContext): Promise<void> => {
    ctx.respond = false;
    return handle(exchangeOf(ctx));
  };
}

function addAdminRoutes(router: Router<RequestState>, current: () => HttpParts): void {
  const guarded = (handle: (ctx: HttpContext, admin: AdminParts) => Promise<void> | void) => (ctx: HttpContext) => {
    const { admin, adminKey, local } = current();
    requireAdmin(ctx, adminKey, local);
    return handle(ctx, admin);
  };
  const get = (path: string, handle: Parameters<typeof guarded>[0]) => router.get(`${ADMIN}${path}`, guarded(handle));
  get('/config', (ctx, admin) => {
    ctx.body = admin.effectiveConfig();
  });
  get('/providers', (ctx, admin) => {
    ctx.body = providersAnswer(admin.providers());
  });
  get('/budgets', (ctx, admin) => {
    ctx.type = 'application/json';
    ctx.body = budgetsAnswer(admin.budgets());
  });
  get('/reports/costs', (ctx, admin) => plain(ctx, admin.costReport(queryOf(ctx))));
  get('/reports/waste', (ctx, admin) => plain(ctx, admin.wasteReport(queryOf(ctx))));
  get('/stats', (ctx, admin) => plain(ctx, admin.stats(queryOf(ctx))));
  const metrics = (path: string, scopeOf: (ctx: HttpContext) => MetricsScope) =>
    get(path, (ctx, admin) => plain(ctx, admin.metrics(scopeOf(ctx), queryOf(ctx))));
  metrics('/metrics', () => ({ kind: 'global' }));
  metrics('/metrics/global', () => ({ kind: 'global' }));
  metrics('/metrics/clients/:id', (ctx) => ({ kind: 'client', id: paramOf('id')(ctx) }));
  metrics('/metrics/providers/:id', (ctx) => ({ kind: 'provider', id: paramOf('id')(ctx) }));
  get('/requests', (ctx, admin) => plain(ctx, admin.listRequests(queryOf(ctx))));
  get('/requests/:id', (ctx, admin) => plain(ctx, admin.getRequest(paramOf('id')(ctx))));
  router.post(
    `${ADMIN}/explain`,
    guarded((ctx) => explainRequest(ctx, current())),
  );
  router.post(
    `${ADMIN}/ledger/verify`,
    guarded(async (ctx, admin) => plain(ctx, await admin.verifyLedger())),
  );
  router.post(
    `${ADMIN}/config/reload`,
    guarded(async (ctx, admin) => answerReload(ctx, await admin.reload())),
  );
  router.post(
    `${ADMIN}/config/validate`,
    guarded(async (ctx, admin) => {
      const text = await readBody(ctx.req, current().bodyLimitBytes);
      ctx.body = admin.validateConfig(text.toString('utf8'));
    }),
  );
}

function under(path: string): string[] {
  return ROUTED.map((prefix) => `${prefix}${path}`);
}

/** A part of the path, percent-decoded. */
function paramOf(name: string): (ctx: HttpContext) => string {
  return (ctx) => (ctx as unknown as { params: Record<string, string> }).params[name] ?? '';
}

function queryOf(ctx: HttpContext): URLSearchParams {
  return new URLSearchParams(ctx.querystring);
}

function plain(ctx: HttpContext, answer: PlainAnswer): void {
  ctx.status = answer.status;
  ctx.set('content-type', answer.contentType);
  ctx.body = answer.body;
}

/** Methods of the routes whose path matches; the router notes them on its way. */
function allowedMethods(ctx: HttpContext): string[] {
  const matched = (ctx as { matched?: Array<{ methods: string[] }> }).matched ?? [];
  return [...new Set(matched.flatMap((layer) => layer.methods))];
}
