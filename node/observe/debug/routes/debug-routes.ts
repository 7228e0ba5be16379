/**
 * The routes of the debug endpoint. All of them only read, but for those of dead letters (message-routes.ts); a request
 * costs what it reads and nothing when there is none. Anything but GET and HEAD is refused here.
 */
import { Hono } from 'hono'
import { isParleyError, type ParleyError } from '../../../../protocols/errors.ts'
import type { Log, Metrics } from '../../../../protocols/port.ts'
import { VERSION } from '../../../platform/version.ts'
import { jsonResponse, problemResponse, respond } from '../../http/http-responses.ts'
import { CONTENT_TYPE } from '../../metrics/exposition.ts'
import type { DebugSource } from '../debug-schemas.ts'
import type { EventStreams } from '../event-streams.ts'
import { type PartDataView, type PartSource, PartViewQuery } from '../part-schemas.ts'
import { isAllowedHost } from '../request-guard.ts'
import { SCHEMAS } from './debug-operations.ts'
import { addMessageRoutes } from './message-routes.ts'
import { addPageRoutes } from './page-routes.ts'

export interface DebugRoutesOptions {
  source: DebugSource
  events: EventStreams
  /** What the endpoint is to listen on. */
  host: string
  /** Whoever shows it sees what messages say, and may change something. */
  key: string | undefined
  log: Log | undefined
  refused: Refused
}

interface DebugRequest {
  readonly method: string
  readonly id: string
  readonly query: Readonly<Record<string, string>>
  readonly lastEventId: string | undefined
}

type Refused = (why: { reason: string }) => void

export const countRefused = (metrics: Pick<Metrics, 'counter'> | undefined): Refused =>
  metrics?.counter('debug_refused_total', 'What the debug endpoint refused, by reason', ['reason']) ?? (() => {})

/** Of what a part says of the id that it is asked for, or of the journal that it reads. */
const STATUS: Partial<Record<ParleyError['code'], number>> = {
  STA001: 404,
  MSG001: 400,
  STA003: 503,
  COM001: 504,
  COM002: 503,
  COM003: 503,
}

/** The same for the control socket. */
export const partView = async (parts: PartSource, query: Readonly<Record<string, string>>): Promise<Response> => {
  const asked = PartViewQuery.safeParse(query)
  if (!asked.success)
    return problemResponse(400, 'no part and view are named', 'ask as in ?part=acme/tally&view=counts')
  const { part, view, id } = asked.data
  let data: PartDataView | undefined
  try {
    data = await parts.data(part, view, id)
  } catch (error) {
    const status = isParleyError(error) ? STATUS[error.code] : undefined
    if (!isParleyError(error) || status === undefined) throw error
    return problemResponse(status, error.message, error.hint ?? 'see /api/parts', {}, { code: error.code })
  }
  if (data !== undefined) return jsonResponse(SCHEMAS.PartData.parse(data))
  return problemResponse(
    404,
    `no part ${part} shows ${view} now`,
    'see /api/parts; a part that is idle shows nothing yet',
  )
}

export const createDebugRoutes = (options: DebugRoutesOptions): Hono => {
  const { source: mesh, events, log, refused } = options

  const overview = () => ({
    at: Date.now(),
    self: mesh.self(),
    readiness: mesh.readiness(),
    peers: mesh.peers(),
    agents: mesh.agents(),
    topics: mesh.topics(),
    graph: mesh.graph(),
    breakers: mesh.breakers(),
    delivery: mesh.messages.delivery(),
  })

  const routes: Record<string, (request: DebugRequest) => Response | Promise<Response>> = {
    '/healthz': () => jsonResponse({ status: 'ok' }),
    '/readyz': () => {
      const readiness = SCHEMAS.Readiness.parse(mesh.readiness())
      return jsonResponse(readiness, readiness.ready ? 200 : 503)
    },
    '/metrics': async () => respond(await mesh.metrics(), CONTENT_TYPE),
    '/openapi.json': async () => jsonResponse((await import('./openapi.ts')).openApi(VERSION)),
    '/api/overview': () => jsonResponse(SCHEMAS.Overview.parse(overview())),
    '/api/self': () => jsonResponse(SCHEMAS.Self.parse(mesh.self())),
    '/api/peers': () => jsonResponse(SCHEMAS.Peers.parse({ peers: mesh.peers() })),
    '/api/agents': () => jsonResponse(SCHEMAS.Agents.parse({ agents: mesh.agents() })),
    '/api/agents/:id': ({ id }) => {
      const agent = mesh.agent(id)
      if (agent !== undefined) return jsonResponse(SCHEMAS.AgentDetails.parse(agent))
      return problemResponse(404, `no agent ${id.slice(0, 200)} is in the directory`, 'see /api/agents for the ids')
    },
    '/api/topics': () => jsonResponse(SCHEMAS.Topics.parse({ topics: mesh.topics() })),
    '/api/graph': () => jsonResponse(SCHEMAS.Graph.parse(mesh.graph())),
    '/api/breakers': () => jsonResponse(SCHEMAS.Breakers.parse({ breakers: mesh.breakers() })),
    '/api/coordinator': async () => jsonResponse(SCHEMAS.Coordinator.parse(await mesh.coordinator())),
    '/api/parts': () => jsonResponse(SCHEMAS.Parts.parse({ parts: mesh.parts.list() })),
    '/api/parts/view': ({ query }) => partView(mesh.parts, query),
    '/api/events': ({ method, lastEventId }) => {
      if (method === 'HEAD') return respond(null, 'text/event-stream')
      const stream = events.open(lastEventId)
      if (stream !== undefined) return respond(stream, 'text/event-stream', 200, { 'x-accel-buffering': 'no' })
      refused({ reason: 'streams' })
      return problemResponse(
        503,
        'as many event streams are open as are allowed',
        'close one, or try again in a few seconds',
        {
          'retry-after': '5',
        },
      )
    },
  }

  const app = new Hono()
  app.use(async (c, next) => {
    if (isAllowedHost(c.req.header('host'), options.host)) return next()
    refused({ reason: 'host' })
    return problemResponse(
      403,
      'the Host header names neither a loopback address nor the address that this endpoint listens on',
      'ask by address, for example http://127.0.0.1 and the port; names could be made to point here by any web page',
    )
  })
  for (const [path, answer] of Object.entries(routes)) {
    app.all(path, (c) => {
      const { method } = c.req
      if (method === 'GET' || method === 'HEAD')
        return answer({
          method,
          id: c.req.param('id') ?? '',
          query: c.req.query(),
          lastEventId: c.req.header('last-event-id'),
        })
      return problemResponse(405, `${path} cannot be used with ${method}`, 'use GET; this endpoint only reads', {
        allow: 'GET, HEAD',
      })
    })
  }
  const ofMessages = addMessageRoutes(app, {
    messages: mesh.messages,
    key: options.key,
    refused: (reason) => refused({ reason }),
  })
  const ofPage = addPageRoutes(app, log)
  const paths = [...ofPage, ...Object.keys(routes), ...ofMessages].join(' ').replaceAll(':id', '<id>')
  app.notFound((c) => problemResponse(404, `there is nothing at ${c.req.path.slice(0, 200)}`, `there is: ${paths}`))
  app.onError((error, c) => {
    log?.error('debug endpoint failed', { path: c.req.path, error })
    return problemResponse(500, 'this could not be shown', "look at this node's log for the reason")
  })
  return app
}
