/**
 * Moleculer: two brokers over its TCP transporter, static addresses instead of UDP discovery, JSON. Not encrypted.
 *
 * Bulk is an action that returns a stream, Moleculer's own way. It has one socket for each direction, so bulk shares
 * the socket of the answers.
 */
import { Server } from 'node:net'
import { Readable } from 'node:stream'
import { ServiceBroker, type ServiceSchema } from 'moleculer'
import { asBody } from '../body.ts'
import { freePort } from '../surroundings.ts'
import { BULK_ITEM_BYTES, type System } from '../system.ts'

const FIRST = 'bench-first'
const SECOND = 'bench-second'
const SERVICE = 'bench'
const TICK = 'bench.tick'
const FIND_LIMIT_MS = 15_000

/**
 * The transporter has no option for the address it listens on and would take every interface; the bench stays on
 * loopback. This process runs nothing but the broker, so all of its servers are the transporter's.
 */
const listenOnLoopbackOnly = (): void => {
  const listen = Server.prototype.listen
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    const [options, ...rest] = args
    const onLoopback = typeof options === 'object' && options !== null ? { ...options, host: '127.0.0.1' } : options
    return Reflect.apply(listen, this, [onLoopback, ...rest])
  }
}

const startBroker = async (nodeID: string, where: { port?: number; urls?: string[] }, schema?: ServiceSchema) => {
  const broker = new ServiceBroker({
    nodeID,
    logger: false,
    transporter: { type: 'TCP', options: { udpDiscovery: false, useHostname: false, gossipPeriod: 1, ...where } },
  })
  if (schema !== undefined) broker.createService(schema)
  listenOnLoopbackOnly()
  await broker.start()
  return broker
}

/** @returns the address of the first broker */
const startFirst = async (schema: ServiceSchema) => {
  const port = await freePort()
  const broker = await startBroker(FIRST, { port }, schema)
  return { address: `127.0.0.1:${port}/${FIRST}`, stop: () => broker.stop() }
}

const startSecond = async (address: string) => {
  const broker = await startBroker(SECOND, { urls: [address] })
  await broker.waitForServices([SERVICE], FIND_LIMIT_MS)
  return broker
}

const endless = (): Readable => {
  const item = Buffer.alloc(BULK_ITEM_BYTES, 1)
  return new Readable({
    highWaterMark: BULK_ITEM_BYTES,
    read() {
      this.push(item)
    },
  })
}

export const system: System = {
  rpc: {
    respond: () =>
      startFirst({ name: SERVICE, actions: { echo: ({ params }) => asBody(params), bulk: () => endless() } }),

    connect: async (address) => {
      const broker = await startSecond(address)
      return {
        call: async (body) => asBody(await broker.call(`${SERVICE}.echo`, body)),
        bulk: async (onBytes) => {
          for await (const chunk of await broker.call('bench.bulk')) onBytes(chunk.length)
          throw new Error('the bulk stream ended')
        },
        stop: () => broker.stop(),
      }
    },
  },

  events: {
    subscribe: (onEvent) => startFirst({ name: SERVICE, events: { [TICK]: ({ params }) => onEvent(asBody(params)) } }),

    connect: async (address) => {
      const broker = await startSecond(address)
      return {
        batch: 512,
        // Each promise resolves when its bytes have been handed to the system.
        publish: async (events) => {
          await Promise.all(events.map((event) => broker.broadcast(TICK, event)))
        },
        stop: () => broker.stop(),
      }
    },
  },
}
