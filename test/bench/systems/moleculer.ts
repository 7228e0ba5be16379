/**
 * Moleculer: two brokers over its TCP transporter, static addresses instead of UDP discovery, JSON. Not encrypted.
 *
 * Bulk is an action that returns a stream, Moleculer's own way. It has one socket for each direction, so bulk shares
 * the socket of the answers.
 */
import { Server } from 'node:net'
import { Readable } from 'node:stream'
import { type Context, ServiceBroker, type ServiceSchema } from 'moleculer'
import { asBody, type Body } from '../body.ts'
import { freePort } from '../surroundings.ts'
import { BULK_ITEM_BYTES, type System } from '../system.ts'

const LOOPBACK = '127.0.0.1'
const FIRST = 'bench-first'
/** Several processes may be on this side of one broker. */
const OWN = `bench-${process.pid}`
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
    const onLoopback = typeof options === 'object' && options !== null ? { ...options, host: LOOPBACK } : options
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
  // What it tells the others; an address that nobody can reach would make them call this node gone.
  broker.registry.nodes.localNode.ipList = [LOOPBACK]
  await broker.start()
  return broker
}

/** @returns the address of the first broker */
const startFirst = async (schema: ServiceSchema) => {
  const port = await freePort()
  const broker = await startBroker(FIRST, { port }, schema)
  return { broker, address: `${LOOPBACK}:${port}/${FIRST}`, stop: () => broker.stop() }
}

const startSecond = async (address: string) => {
  const broker = await startBroker(OWN, { urls: [address] })
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

const publisherOf = (broker: ServiceBroker) => ({
  batch: 512,
  // Each promise resolves when its bytes have been handed to the system.
  publish: async (events: readonly Body[]) => {
    await Promise.all(events.map((event) => broker.broadcast(TICK, event)))
  },
})

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
      return { ...publisherOf(broker), stop: () => broker.stop() }
    },
  },

  fanout: {
    publish: async () => {
      const { broker, ...listening } = await startFirst({ name: SERVICE })
      return { ...listening, ...publisherOf(broker) }
    },

    subscribe: async (address, onEvent) => {
      const events = { [TICK]: ({ params }: Context) => onEvent(asBody(params)) }
      const broker = await startBroker(OWN, { urls: [address] }, { name: `${SERVICE}-${process.pid}`, events })
      return { stop: () => broker.stop() }
    },
  },

  bulk: {
    offer: (open) =>
      startFirst({ name: SERVICE, actions: { stream: () => Readable.from(open(), { objectMode: false }) } }),

    connect: async (address) => {
      const broker = await startSecond(address)
      return {
        fetch: async (onBytes) => {
          for await (const piece of await broker.call('bench.stream')) onBytes(piece)
        },
        stop: () => broker.stop(),
      }
    },
  },
}
