/**
 * The debug endpoint: a small HTTP server beside the mesh, on loopback unless told otherwise. It reads; only who shows the
 * key changes something (request-guard.ts).
 *
 * State: its event streams. Guarantees: at most MAX_CONNECTIONS connections, of which idle ones make room for newcomers; a
 * connection on which nothing moves for `idleMs` is cut; after close() the port is free within a second, whoever is
 * connected. Nothing imports this file but the mesh, and only when the endpoint is on.
 */
import { getRequestListener } from '@hono/node-server'
import type { Log, Metrics } from '../../../protocols/port.ts'
import { type HttpListener, startHttpListener } from '../http/http-listener.ts'
import { problemResponse } from '../http/http-responses.ts'
import type { DebugSource } from './debug-schemas.ts'
import { createEventStreams, HEARTBEAT_MS } from './event-streams.ts'
import { isLoopback } from './request-guard.ts'
import { countRefused, createDebugRoutes } from './routes/debug-routes.ts'

export const MAX_CONNECTIONS = 128
const IDLE_MS = 60_000

export interface DebugServerOptions {
  /** Address or name to listen on; 127.0.0.1 unless told. Whoever reaches another one sees who is in the mesh. */
  host?: string
  /** 0 to 65535; 0, the default, takes any free one. */
  port?: number
  /** Take any free port where that one is taken, instead of failing. */
  orAnyPort?: boolean | undefined
  /** For who may see what messages say, and send or purge dead letters; nobody may where there is none. */
  key?: string
  log?: Log
  /** Counts refused requests and events that slow readers missed. */
  metrics?: Pick<Metrics, 'counter' | 'gauge'>
  /** Milliseconds between two signs of life on an idle event stream; 15,000 unless told. */
  heartbeatMs?: number
  /**
   * Milliseconds without a byte after which a connection is cut; 60,000 unless told. Above `heartbeatMs`, so that of
   * the event streams only those are cut that nobody reads.
   */
  idleMs?: number
}

/** Closing it ends event streams and connections. */
export type DebugEndpoint = HttpListener

/**
 * Starts the endpoint.
 * @throws STA003 when the port is taken or not allowed, COM002 for an address that cannot be used, MSG001 for a port
 * that is none
 */
export const startDebugServer = async (
  source: DebugSource,
  options: DebugServerOptions = {},
): Promise<DebugEndpoint> => {
  const { host = '127.0.0.1', port = 0, log, metrics, heartbeatMs = HEARTBEAT_MS, idleMs = IDLE_MS } = options
  const run = Date.now().toString(36)
  const events = createEventStreams({ onEvent: (fn) => source.onEvent(fn), metrics, heartbeatMs, run })
  const refused = countRefused(metrics)
  const app = createDebugRoutes({ source, events, host, key: options.key, log, refused })
  const answer = getRequestListener(app.fetch, {
    // Otherwise it puts its own Request and Response in the place of the process's, which is not ours to change.
    overrideGlobalObjects: false,
    errorHandler: () =>
      problemResponse(400, 'the request could not be read', 'send a plain HTTP/1.1 request with a Host header'),
  })
  const endpoint = await startHttpListener({
    what: 'debug',
    host,
    port,
    orAnyPort: options.orAnyPort,
    maxConnections: MAX_CONNECTIONS,
    idleMs,
    log,
    answer,
    onCut: () => refused({ reason: 'connections' }),
    onClose: () => events.close(),
  }).catch((error: unknown) => {
    events.close()
    throw error
  })
  if (!isLoopback(host)) log?.warn('debug endpoint listens beyond loopback and asks nobody who they are', { host })
  return endpoint
}
