/**
 * A small HTTP server that connections which are only held open cannot starve: where all places are taken, the one on which
 * nothing was asked for longest is closed for the newcomer.
 *
 * State: the server, and each connection with the requests that it has under way. Guarantees: at most `maxConnections`; one
 * that sends no whole head within HEADERS_MS, or nothing for `idleMs`, is cut; after close() the port is free within a
 * second, whoever is connected.
 */
import { createServer, type RequestListener, type Server } from 'node:http'
import { isIP, type Socket } from 'node:net'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Log } from '../../../protocols/port.ts'
import { systemCode } from '../../platform/private-file.ts'

export interface HttpListenerOptions {
  /** Whose port it is, in error messages: `debug`, `health`. */
  readonly what: string
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  /** Take any free port where that one is taken, instead of failing. */
  readonly orAnyPort?: boolean | undefined
  readonly maxConnections: number
  /** Milliseconds without a byte after which a connection is cut. */
  readonly idleMs: number
  readonly log?: Log | undefined
  answer: RequestListener
  /** A connection was closed to make room. */
  onCut?(): void
  /** Ends what would keep connections open. */
  onClose?(): void
}

export interface HttpListener {
  /** `http://127.0.0.1:43210`, to be opened on this machine. */
  readonly url: string
  /** Within a second. Calling it again waits for the same end. */
  close(): Promise<void>
}

/** Milliseconds for the head of a request, the whole request, and the next one on the same connection. */
const HEADERS_MS = 5_000
const REQUEST_MS = 10_000
const KEEP_ALIVE_MS = 5_000
/** How often these are looked at. */
const LOOK_MS = 1_000
/** Milliseconds that responses have to end by themselves when it closes. */
const GRACE_MS = 300

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

const listen = (server: Server, what: string, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = REASONS[systemCode(cause) ?? '']
      const message = `the ${what} port ${port} on ${host} ${reason?.what ?? `cannot be listened on: ${cause.message}`}`
      const hint = reason?.hint ?? `choose another address or port, or switch ${what} off`
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
  const dialled = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${isIP(dialled) === 6 ? `[${dialled}]` : dialled}:${port}`
}

/** Closes the connection that asked for nothing for longest, or else the one that is busy for longest. */
const boundConnections = (server: Server, most: number, onCut: () => void): void => {
  /** Requests under way; in the order in which they came to be idle or busy. */
  const open = new Map<Socket, number>()
  const note = (socket: Socket, requests: number): void => {
    open.delete(socket)
    open.set(socket, requests)
  }
  server.on('connection', (socket: Socket) => {
    if (open.size >= most) {
      const [longest] = [...open].find(([, requests]) => requests === 0) ?? open.entries().next().value ?? []
      if (longest !== undefined) {
        open.delete(longest)
        longest.destroy()
        onCut()
      }
    }
    open.set(socket, 0)
    socket.once('close', () => open.delete(socket))
  })
  server.on('request', ({ socket }, response) => {
    note(socket, (open.get(socket) ?? 0) + 1)
    response.once('close', () => {
      const requests = open.get(socket)
      if (requests !== undefined) note(socket, requests - 1)
    })
  })
}

/**
 * Starts to listen.
 * @throws STA003 when the port is taken or not allowed, COM002 for an address that cannot be used, MSG001 for a port
 * that is none
 */
export const startHttpListener = async (options: HttpListenerOptions): Promise<HttpListener> => {
  const { what, host, port, log } = options
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ParleyError('MSG001', `the ${what} port ${port} is not a port`, { hint: 'use 0 (any free one) to 65535' })
  }
  const times = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: KEEP_ALIVE_MS }
  const server = createServer({ ...times, connectionsCheckingInterval: LOOK_MS }, options.answer)
  server.timeout = options.idleMs
  boundConnections(server, options.maxConnections, () => options.onCut?.())
  await listen(server, what, host, port).catch(async (error: unknown) => {
    const isTaken = isParleyError(error) && systemCode(error.cause) === 'EADDRINUSE'
    if (options.orAnyPort !== true || !isTaken) throw error
    await listen(server, what, host, 0)
    log?.warn(`the ${what} port ${port} is taken by another program, so a free one is used`, {
      url: urlOf(server, host),
    })
  })
  server.on('error', (error) => log?.error(`the ${what} port failed`, { error }))

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS)
      options.onClose?.()
    })
    return closing
  }
  return { url: urlOf(server, host), close }
}
