import type { FastifyInstance } from 'fastify'
import type { StatePreview } from '../reconcile/preview.js'
import type { State } from '../reconcile/state.js'
import type { Metrics } from './metrics.js'
import { PAGE_POLICY, statePage } from './pages/state-page.js'

interface StateRoutesOptions {
  readonly state: () => State
  readonly preview: (signal: AbortSignal) => Promise<StatePreview>
  readonly metrics: Metrics
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Less than a connection may be quiet. */
const PREVIEW_MS = 20_000

/** What the running process knows of itself, for probes, scrapers, programs and people. */
export function addStateRoutes(app: FastifyInstance, { state, preview, metrics, now }: StateRoutesOptions): void {
  // Alive means that it answers at all: nothing outside this process may fail it, or it would be restarted in vain.
  for (const path of ['/healthz', '/health']) app.get(path, async () => ({ status: 'ok' }))

  app.get('/readyz', async (_request, reply) => {
    const { problems } = state()
    return reply
      .code(problems.length === 0 ? 200 : 503)
      .send({ status: problems.length === 0 ? 'ready' : 'not ready', problems })
  })

  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render(state())))

  app.get('/api/state', async () => state())

  // A reload that is under way is waited for.
  app.get('/api/plan', async () => preview(AbortSignal.timeout(PREVIEW_MS)))

  app.get('/', async (_request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', PAGE_POLICY)
      .send(statePage(state(), now())),
  )
}
