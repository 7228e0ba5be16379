/**
 * NATS: nats-server on a free loopback port, the official client on both ends, JSON payloads. Not encrypted.
 *
 * Bulk is credited in batches, as a NATS user has to do it: the server drops a consumer that is too slow. For the same
 * reason `max_pending` is raised, so that full speed is limited by work and not by a disconnect.
 */
import { randomUUID } from 'node:crypto'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { asBody } from '../body.ts'
import { BULK_ITEM_BYTES, type Publisher, type System } from '../system.ts'
import { startNats } from './nats-server.ts'

const ECHO = 'bench.echo'
const TICK = 'bench.tick'
const BULK_DATA = 'bench.bulk.data'
const BULK_CREDIT = 'bench.bulk.credit'
const CREDIT_ITEMS = 16
const CREDITS_AHEAD = 4
/** Asks for a stream of chunks; its answers have a subject of their own. */
const STREAM = 'bench.stream'
const CHUNKS_AHEAD = 8
const CALL_LIMIT_MS = 10_000

const open = (servers: string): Promise<NatsConnection> => connect({ servers, reconnect: false })

/** Sends items while credit lasts. */
const serveBulk = (nc: NatsConnection): void => {
  const item = Buffer.alloc(BULK_ITEM_BYTES, 1)
  nc.subscribe(BULK_CREDIT, {
    callback: () => {
      for (let i = 0; i < CREDIT_ITEMS; i++) nc.publish(BULK_DATA, item)
    },
  })
}

const openPublisher = async (address: string): Promise<Publisher> => {
  const nc = await open(address)
  // One flush ahead: the next batch is written while the server still takes the last one.
  let flushed = Promise.resolve()
  return {
    batch: 1_024,
    publish: async (events) => {
      for (const event of events) nc.publish(TICK, JSON.stringify(event))
      const before = flushed
      flushed = nc.flush()
      flushed.catch(() => {})
      await before
    },
    stop: () => nc.close(),
  }
}

/** One chunk for each credit, and an empty message after the last. A chunk of 1 MiB is just what the server takes. */
const streamTo = (nc: NatsConnection, inbox: string, chunks: Iterator<Uint8Array>): void => {
  const credits = nc.subscribe(`${inbox}.credit`, {
    callback: () => {
      const next = chunks.next()
      if (next.done === true) credits.unsubscribe()
      nc.publish(inbox, next.done === true ? '' : next.value)
    },
  })
  nc.publish(inbox, 'go')
}

const fetchStream = async (nc: NatsConnection, onBytes: (piece: Uint8Array) => void): Promise<void> => {
  const inbox = `bench.inbox.${randomUUID()}`
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  let begun = false
  const data = nc.subscribe(inbox, {
    callback: (_error, message) => {
      if (!begun) {
        begun = true
        for (let i = 0; i < CHUNKS_AHEAD; i++) nc.publish(`${inbox}.credit`)
      } else if (message.data.length === 0) {
        resolve()
      } else {
        onBytes(message.data)
        nc.publish(`${inbox}.credit`)
      }
    },
  })
  nc.publish(STREAM, '', { reply: inbox })
  await ended
  data.unsubscribe()
}

/** @param command of the server; the system's own unless told */
export const natsOver = (command?: string): System => ({
  rpc: {
    respond: async () => {
      const address = await startNats([], command)
      const nc = await open(address)
      nc.subscribe(ECHO, {
        callback: (_error, message) => {
          message.respond(JSON.stringify(asBody(message.json())))
        },
      })
      serveBulk(nc)
      await nc.flush()
      return { address, stop: () => nc.close() }
    },

    connect: async (address) => {
      const nc = await open(address)
      return {
        call: async (body) => {
          const answer = await nc.request(ECHO, JSON.stringify(body), { timeout: CALL_LIMIT_MS })
          return asBody(answer.json())
        },
        bulk: (onBytes) => {
          let items = 0
          nc.subscribe(BULK_DATA, {
            callback: (_error, message) => {
              onBytes(message.data.length)
              if (++items % CREDIT_ITEMS === 0) nc.publish(BULK_CREDIT)
            },
          })
          for (let i = 0; i < CREDITS_AHEAD; i++) nc.publish(BULK_CREDIT)
          return new Promise<never>(() => {})
        },
        stop: () => nc.close(),
      }
    },
  },

  events: {
    subscribe: async (onEvent) => {
      const address = await startNats([], command)
      const nc = await open(address)
      nc.subscribe(TICK, { callback: (_error, message) => onEvent(asBody(message.json())) })
      await nc.flush()
      return { address, stop: () => nc.close() }
    },

    connect: openPublisher,
  },

  fanout: {
    publish: async () => {
      const address = await startNats([], command)
      return { address, ...(await openPublisher(address)) }
    },

    subscribe: async (address, onEvent) => {
      const nc = await open(address)
      nc.subscribe(TICK, { callback: (_error, message) => onEvent(asBody(message.json())) })
      await nc.flush()
      return { stop: () => nc.close() }
    },
  },

  bulk: {
    offer: async (chunksOf) => {
      const address = await startNats([], command)
      const nc = await open(address)
      nc.subscribe(STREAM, {
        callback: (_error, { reply }) => {
          if (reply !== undefined) streamTo(nc, reply, chunksOf()[Symbol.iterator]())
        },
      })
      await nc.flush()
      return { address, stop: () => nc.close() }
    },

    connect: async (address) => {
      const nc = await open(address)
      return { fetch: (onBytes) => fetchStream(nc, onBytes), stop: () => nc.close() }
    },
  },
})

export const system = natsOver()
