/**
 * The health listener: whether this node runs and is ready, and its metrics, over HTTP for probes and scrapers. Nothing else
 * is there, so that it may be open where the debug endpoint may not.
 *
 * State: the scrape that is under way, which all share who ask meanwhile. It answers whoever asks, by any Host: probes and
 * scrapers use addresses and names that a node cannot know, and there is no content that a web page could read by one.
 * Nothing imports this file but the mesh, and only when the listener is on.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log, Metrics } from '../../protocols/port.ts'
import { type DebugSource, ReadinessSchema } from './debug/debug-schemas.ts'
import { type HttpListener, startHttpListener } from './http/http-listener.ts'
import { SECURITY_HEADERS } from './http/http-responses.ts'
import { CONTENT_TYPE } from './metrics/exposition.ts'

export const MAX_CONNECTIONS = 64
const IDLE_MS = 10_000
const JSON_TYPE = 'application/json'

export interface HealthListenerOptions {
  /** Address or name to listen on. */
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  readonly log?: Log | undefined
  readonly metrics?: Pick<Metrics, 'counter'> | undefined
  /** Milliseconds without a byte after which a connection is cut; 10,000 unless told. */
  readonly idleMs?: number
}

export type HealthSource = Pick<DebugSource, 'readiness' | 'metrics'>

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Record<string, string>
}

const plain = (status: number, body: string, headers = {}): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
  headers,
})

/**
 * Starts the listener.
 * @throws STA003 when the port is taken or not allowed, COM002 for an address that cannot be used
 */
export const startHealthListener = (source: HealthSource, options: HealthListenerOptions): Promise<HttpListener> => {
  const { host, port, log, idleMs = IDLE_MS } = options
  const refused = options.metrics?.counter('health_refused_total', 'What the health listener refused, by reason', [
    'reason',
  ])
  let scraping: Promise<string> | undefined
  const scrape = (): Promise<string> => {
    scraping ??= source.metrics().finally(() => {
      scraping = undefined
    })
    return scraping
  }

  const routes: Record<string, () => Answer | Promise<Answer>> = {
    '/healthz': () => ({ status: 200, type: JSON_TYPE, body: JSON.stringify({ status: 'ok' }) }),
    '/readyz': () => {
      const readiness = ReadinessSchema.parse(source.readiness())
      return { status: readiness.ready ? 200 : 503, type: JSON_TYPE, body: JSON.stringify(readiness) }
    },
    '/metrics': async () => ({ status: 200, type: CONTENT_TYPE, body: await scrape() }),
  }
  const paths = Object.keys(routes).join(' ')

  const answerTo = async ({ method, url = '' }: IncomingMessage): Promise<Answer> => {
    const [path = ''] = url.split('?', 1)
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (route === undefined) {
      refused?.({ reason: 'path' })
      return plain(404, `there is: ${paths}`)
    }
    if (method === 'GET' || method === 'HEAD') return route()
    refused?.({ reason: 'method' })
    return plain(405, 'use GET', { allow: 'GET, HEAD' })
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, type, body, headers } = await answerTo(request).catch((error: unknown) => {
      log?.error('the health listener failed', { error })
      return plain(500, "this could not be shown; look at this node's log for the reason")
    })
    const length = Buffer.byteLength(body)
    response.writeHead(status, { ...SECURITY_HEADERS, 'content-type': type, 'content-length': length, ...headers })
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  return startHttpListener({
    what: 'health',
    host,
    port,
    maxConnections: MAX_CONNECTIONS,
    idleMs,
    log,
    answer: (request, response) => void answer(request, response),
    onCut: () => refused?.({ reason: 'connections' }),
  })
}
