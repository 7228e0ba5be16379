/**
 * The consumer's word to the producer that a message was processed, for systems with a broker, which keeps the two apart:
 * a loopback socket of the bench with four bytes for each message. It costs less than anything a user could do instead.
 *
 * State: on the producer's side, who waits for which message; what nobody waits for (a second copy) is passed over.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Running } from './system.ts'

const ID_BYTES = 4

export interface Giving extends Running {
  readonly port: number
  /** Written together with what else this turn of the event loop says. */
  give(id: number): void
}

export const giveWord = async (): Promise<Giving> => {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no loopback port is free')
  let ids: number[] = []
  const write = (): void => {
    const bytes = Buffer.allocUnsafe(ids.length * ID_BYTES)
    ids.forEach((id, i) => {
      bytes.writeUInt32LE(id, i * ID_BYTES)
    })
    ids = []
    for (const socket of sockets) socket.write(bytes)
  }
  return {
    port: address.port,
    give: (id) => {
      if (ids.length === 0) queueMicrotask(write)
      ids.push(id)
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

export interface Hearing extends Running {
  /** Resolves when the word about this message comes; rejects when none can come any more. */
  heard(id: number): Promise<void>
}

export const hearWord = async (port: number): Promise<Hearing> => {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await once(socket, 'connect')
  const waiting = new Map<number, PromiseWithResolvers<void>>()
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (; at + ID_BYTES <= bytes.length; at += ID_BYTES) {
      const id = bytes.readUInt32LE(at)
      waiting.get(id)?.resolve()
      waiting.delete(id)
    }
    rest = bytes.subarray(at)
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the consumer is gone'))
    waiting.clear()
  })
  return {
    heard: (id) => {
      const one = Promise.withResolvers<void>()
      if (socket.destroyed) one.reject(new Error('the consumer is gone'))
      else waiting.set(id, one)
      return one.promise
    },
    stop: async () => void socket.destroy(),
  }
}
