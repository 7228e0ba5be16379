/**
 * The debug endpoint: a small HTTP server beside the mesh, on loopback unless told otherwise. It reads; only who shows the
 * key changes something (access.ts).
 *
 * State: the server and its event streams. Guarantees: at most MAX_CONNECTIONS connections; a connection on which
 * nothing moves for `idleMs` is cut; after close() the port is free within a second, whoever is connected.
 * Nothing imports this file but the mesh, and only when the endpoint is on.
 */
import { createServer, type Server } from 'node:http'
import { isIP } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Log, Metrics } from '../../protocols/port.ts'
import { systemCode } from '../private-file.ts'
import { createEventStreams, HEARTBEAT_MS } from './events.ts'
import { isLoopback } from './host.ts'
import { problem } from './problem.ts'
import { createRoutes } from './routes.ts'
import type { DebugSource } from './source.ts'

export const MAX_CONNECTIONS = 128
const IDLE_MS = 60_000
/** Milliseconds that responses have to end by themselves when the endpoint closes. */
const GRACE_MS = 300

export interface DebugOptions {
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

export interface DebugEndpoint {
  /** `http://127.0.0.1:43210`, to be opened on this machine. */
  readonly url: string
  /** Ends event streams and connections; within a second. Calling it again waits for the same end. */
  close(): Promise<void>
}

const REASONS: Record<string, { code: 'STA003' | 'COM002'; what: string; hint: string }> = {
  EADDRINUSE: {
    code: 'STA003',
    what: 'is taken by another program',
    hint: 'choose another port, or 0 for any free one',
  },
  EACCES: {
    code: 'STA003',
    what: 'is not allowed for this user',
    hint: 'choose a port above 1023, or 0 for any free one',
  },
  EADDRNOTAVAIL: {
    code: 'COM002',
    what: 'is not an address of this machine',
    hint: 'listen on 127.0.0.1, ::1 or an address that this machine has',
  },
  ENOTFOUND: {
    code: 'COM002',
    what: 'is a name that does not resolve',
    hint: 'listen on 127.0.0.1, ::1 or an address that this machine has',
  },
}

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = REASONS[systemCode(cause) ?? '']
      const message = `the debug port ${port} on ${host} ${reason?.what ?? `cannot be listened on: ${cause.message}`}`
      const hint = reason?.hint ?? 'choose another address or port, or switch the debug endpoint off'
      reject(new ParleyError(reason?.code ?? 'COM002', message, { hint, details: { host, port }, cause }))
    })
    server.listen({ host, port, exclusive: true }, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })

/** How this machine reaches the server; one that listens everywhere is reached on loopback. */
const urlOf = (server: Server, host: string): string => {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${isIP(reached) === 6 ? `[${reached}]` : reached}:${port}`
}

/**
 * Starts the endpoint.
 * @throws STA003 when the port is taken or not allowed, COM002 for an address that cannot be used, MSG001 for a port
 * that is none
 */
export const startDebug = async (source: DebugSource, options: DebugOptions = {}): Promise<DebugEndpoint> => {
  const { host = '127.0.0.1', port = 0, log, metrics, heartbeatMs = HEARTBEAT_MS, idleMs = IDLE_MS } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ParleyError('MSG001', `the debug port ${port} is not a port`, { hint: 'use 0 (any free one) to 65535' })
  }
  const run = Date.now().toString(36)
  const events = createEventStreams({ onEvent: (fn) => source.onEvent(fn), metrics, heartbeatMs, run })
  const app = createRoutes({ source, events, host, key: options.key, log, metrics })
  const listener = getRequestListener(app.fetch, {
    // Otherwise it puts its own Request and Response in the place of the process's, which is not ours to change.
    overrideGlobalObjects: false,
    errorHandler: () =>
      problem(400, 'the request could not be read', 'send a plain HTTP/1.1 request with a Host header'),
  })
  const server = createServer({ headersTimeout: 5000, requestTimeout: 10_000, keepAliveTimeout: 5000 }, listener)
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = idleMs
  try {
    await listen(server, host, port).catch(async (error: unknown) => {
      const isTaken = isParleyError(error) && systemCode(error.cause) === 'EADDRINUSE'
      if (options.orAnyPort !== true || !isTaken) throw error
      await listen(server, host, 0)
      log?.warn(`the debug port ${port} is taken by another program, so the debug endpoint took a free one`, {
        url: urlOf(server, host),
      })
    })
  } catch (error) {
    events.close()
    throw error
  }
  server.on('error', (error) => log?.error('debug endpoint failed', { error }))
  if (!isLoopback(host)) log?.warn('debug endpoint listens beyond loopback and asks nobody who they are', { host })

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS)
      events.close()
    })
    return closing
  }
  return { url: urlOf(server, host), close }
}
