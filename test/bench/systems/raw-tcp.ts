/**
 * Raw TCP: the limit. Frames of length, id and payload; what gathers in one microtask turn is one write; JSON bodies.
 *
 * An id of 0 is bulk: from the caller it asks for it, from the responder it is an item. Bulk shares the socket and
 * waits for `drain`; calls do not wait for it.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { asBody, type Body } from '../body.ts'
import { BULK_ITEM_BYTES, type System } from '../system.ts'

const HEADER_BYTES = 8
const BULK = 0

const textFrame = (id: number, text: string): Buffer => {
  const bytes = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes)
  frame.writeUInt32LE(bytes, 0)
  frame.writeUInt32LE(id, 4)
  frame.write(text, HEADER_BYTES)
  return frame
}

/** Calls `onFrame` for each whole frame; the payload is only valid during the call. */
const readFrames = (socket: Socket, onFrame: (id: number, payload: Buffer) => void): void => {
  let rest: Buffer[] = []
  let restBytes = 0
  let needed = HEADER_BYTES
  socket.on('data', (chunk: Buffer) => {
    rest.push(chunk)
    restBytes += chunk.length
    if (restBytes < needed) return
    const bytes = rest.length === 1 ? chunk : Buffer.concat(rest, restBytes)
    let at = 0
    needed = HEADER_BYTES
    while (bytes.length - at >= HEADER_BYTES) {
      const size = HEADER_BYTES + bytes.readUInt32LE(at)
      if (bytes.length - at < size) {
        needed = size
        break
      }
      onFrame(bytes.readUInt32LE(at + 4), bytes.subarray(at + HEADER_BYTES, at + size))
      at += size
    }
    rest = at === bytes.length ? [] : [bytes.subarray(at)]
    restBytes = bytes.length - at
  })
}

/** Gathers frames and writes them once per microtask turn. */
const gather = (socket: Socket): ((frame: Buffer) => void) => {
  let frames: Buffer[] = []
  const flush = (): void => {
    const ready = frames
    frames = []
    socket.write(ready.length === 1 && ready[0] !== undefined ? ready[0] : Buffer.concat(ready))
  }
  return (frame) => {
    if (frames.push(frame) === 1) queueMicrotask(flush)
  }
}

const flood = (socket: Socket): void => {
  const frame = Buffer.alloc(HEADER_BYTES + BULK_ITEM_BYTES, 1)
  frame.writeUInt32LE(BULK_ITEM_BYTES, 0)
  frame.writeUInt32LE(BULK, 4)
  const pump = (): void => {
    while (!socket.destroyed && socket.write(frame)) {
      // The socket takes more at once.
    }
  }
  socket.on('drain', pump)
  pump()
}

const listen = async (onSocket: (socket: Socket) => void) => {
  const server = createServer({ noDelay: true }, (socket) => {
    // A caller that is gone is the end of a measurement, and whoever measured knows of it.
    socket.on('error', () => socket.destroy())
    onSocket(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return { address: String(address.port), stop: async () => void server.close() }
}

const dial = async (address: string): Promise<Socket> => {
  const socket = connect({ host: '127.0.0.1', port: Number(address), noDelay: true })
  await once(socket, 'connect')
  return socket
}

const eventFrames = (events: readonly Body[]): Buffer =>
  Buffer.concat(events.map((event) => textFrame(1, JSON.stringify(event))))

export const system: System = {
  rpc: {
    respond: () =>
      listen((socket) => {
        const send = gather(socket)
        readFrames(socket, (id, payload) => {
          if (id === BULK) flood(socket)
          else send(textFrame(id, JSON.stringify(asBody(JSON.parse(payload.toString())))))
        })
      }),

    connect: async (address) => {
      const socket = await dial(address)
      const send = gather(socket)
      const waiting = new Map<number, PromiseWithResolvers<Body>>()
      let onBulk = (_bytes: number): void => {}
      let nextId = 1
      readFrames(socket, (id, payload) => {
        if (id === BULK) {
          onBulk(payload.length)
          return
        }
        waiting.get(id)?.resolve(asBody(JSON.parse(payload.toString())))
        waiting.delete(id)
      })
      const { promise: broken, reject } = Promise.withResolvers<never>()
      broken.catch(() => {})
      socket.on('error', () => {})
      socket.on('close', () => {
        const error = new Error('the connection closed')
        for (const one of waiting.values()) one.reject(error)
        reject(error)
      })
      return {
        call: (body) => {
          const id = nextId++
          const answer = Promise.withResolvers<Body>()
          waiting.set(id, answer)
          send(textFrame(id, JSON.stringify(body)))
          return answer.promise
        },
        bulk: (onBytes) => {
          onBulk = onBytes
          send(textFrame(BULK, ''))
          return broken
        },
        stop: async () => void socket.destroy(),
      }
    },
  },

  events: {
    subscribe: (onEvent) =>
      listen((socket) => readFrames(socket, (_id, payload) => onEvent(asBody(JSON.parse(payload.toString()))))),

    connect: async (address) => {
      const socket = await dial(address)
      return {
        batch: 512,
        publish: async (events) => {
          if (!socket.write(eventFrames(events))) await once(socket, 'drain')
        },
        stop: async () => void socket.destroy(),
      }
    },
  },

  fanout: {
    publish: async () => {
      const sockets = new Set<Socket>()
      const listening = await listen((socket) => {
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
      })
      return {
        ...listening,
        batch: 512,
        publish: async (events) => {
          const frames = eventFrames(events)
          const full = [...sockets].filter((socket) => !socket.write(frames))
          await Promise.all(full.map((socket) => once(socket, 'drain')))
        },
      }
    },

    subscribe: async (address, onEvent) => {
      const socket = await dial(address)
      readFrames(socket, (_id, payload) => onEvent(asBody(JSON.parse(payload.toString()))))
      return { stop: async () => void socket.destroy() }
    },
  },

  bulk: {
    // A connection is a stream: no frames, the end of the stream is the end of the connection.
    offer: (open) =>
      listen((socket) => {
        const chunks = open()[Symbol.iterator]()
        const pump = (): void => {
          for (;;) {
            const next = chunks.next()
            if (next.done === true) return void socket.end()
            if (!socket.write(next.value)) return
          }
        }
        socket.on('drain', pump)
        pump()
      }),

    connect: async (address) => ({
      fetch: async (onBytes) => {
        const socket = await dial(address)
        socket.on('data', onBytes)
        await once(socket, 'end')
        socket.destroy()
      },
      stop: async () => {},
    }),
  },
}
