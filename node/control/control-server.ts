/**
 * The control socket of a node: a Unix socket (on Windows a named pipe, untested) that only this node's user can reach, and
 * HTTP over it. Whoever reaches it may do what the node may: call, publish, send, hand over, stop it.
 *
 * State: the server and its streams. Guarantees: nobody else can connect at any moment, since the socket is made inside of a
 * folder with mode 0700 and gets mode 0600 there; at most MAX_CONNECTIONS connections, MAX_STREAMS streams (control-streams.ts) and
 * MAX_BODY_BYTES a request (control-schemas.ts); what a slow reader misses is counted, and the reader is sent the count; close() ends all within a second.
 * Imported only where the option `control` is on.
 */
import { chmod, rmdir } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { problemResponse } from '../observe/http/http-responses.ts'
import { ensurePrivateDirectory, FILE_MODE, systemCode } from '../platform/private-file.ts'
import { type ControlDeps, createControlRoutes } from './control-routes.ts'
import { createControlStreams } from './control-streams.ts'
import { type SocketPath, socketInDataDir, socketInTemporaryDirectory } from './socket-path.ts'

export const MAX_CONNECTIONS = 128
/** Milliseconds that responses have to end by themselves when the socket closes. */
const GRACE_MS = 300

export interface ControlServerOptions extends ControlDeps {
  /** Locked by this process. */
  readonly dataDir: string
  /** Milliseconds between two signs of life on an idle stream; 10,000 unless told. */
  readonly beatMs?: number
}

export interface ControlServer {
  /** Where it listens. */
  readonly path: string
  /** Ends streams and connections, and takes the socket away. Calling it again waits for the same end. */
  close(): Promise<void>
}

/** What a file system says that holds no sockets. */
const NO_SOCKETS = ['EOPNOTSUPP', 'ENOTSUP', 'EPERM', 'EINVAL', 'ENAMETOOLONG', 'EROFS', 'ENOSYS']

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })

const take = async (server: Server, place: SocketPath): Promise<SocketPath> => {
  await listen(server, place.path)
  if (process.platform !== 'win32') await chmod(place.path, FILE_MODE)
  return place
}

/** In the data directory where that is possible. @throws STA003 */
const listenSomewhere = async (server: Server, dataDir: string): Promise<SocketPath> => {
  try {
    await ensurePrivateDirectory(dataDir)
    const place = await socketInDataDir(dataDir)
    if (place !== undefined) {
      try {
        return await take(server, place)
      } catch (error) {
        if (!NO_SOCKETS.includes(systemCode(error) ?? '')) throw error
      }
    }
    return await take(server, await socketInTemporaryDirectory(dataDir))
  } catch (cause) {
    if (isParleyError(cause)) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ParleyError('STA003', `the control socket of ${dataDir} cannot be made: ${reason}`, {
      hint: 'see whether the data directory is writable; without the option control the node starts without the socket',
      details: { reason: 'disk-failed', path: dataDir },
      cause,
    })
  }
}

/** @throws STA003 where no socket can be made */
export const createControlServer = async (options: ControlServerOptions): Promise<ControlServer> => {
  const { log, metrics } = options
  const streams = createControlStreams(metrics, options.beatMs)
  const app = createControlRoutes(options, streams)
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: () => problemResponse(400, 'the request could not be read', 'use the command `parley`'),
  })
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 }, listener)
  server.maxConnections = MAX_CONNECTIONS
  // Who says nothing is cut by the limits above; who waits for an answer may wait long.
  server.timeout = 0
  const refused = metrics.counter('control_refused_total', 'Requests that the control socket refused', ['reason'])
  server.on('drop', () => refused({ reason: 'connections' }))
  const { path, folder } = await listenSomewhere(server, options.dataDir)
  server.on('error', (error) => log.error('the control socket failed', { error }))

  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    streams.close()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS)
      // It takes its socket away itself.
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      server.closeIdleConnections()
    })
    if (folder !== undefined) await rmdir(folder).catch(() => {})
  }
  return {
    path,
    close() {
      closing ??= close()
      return closing
    },
  }
}
