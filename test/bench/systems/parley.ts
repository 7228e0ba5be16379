/**
 * Parley, the system under test: two meshes of one secret, encrypted and mutually authenticated, its public API only.
 *
 * Echo is a unary method; bulk is a streaming method of another protocol, so that it gets a stream of its own on the
 * same connection. Bodies go through the zod schemas of the contract: that is part of what a user pays for.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { createMesh, defineProtocol, type Mesh } from '../../../node/index.ts'
import type { Body } from '../body.ts'
import { BULK_ITEM_BYTES, type Publisher, type System } from '../system.ts'
import { durable } from './parley-durable.ts'
import { addressSchema, START_LIMIT_MS, start, startFirst, startSecond } from './parley-meshes.ts'
import { tasks } from './parley-tasks.ts'
import { store } from './row-engine.ts'

/** Of seats that must come back with the same one after they were killed. */
const SEAT_SECRET = randomBytes(32).toString('base64url')
/** Longer than any measurement. */
const BULK_LIMIT_MS = 60_000

const bodySchema = z.object({ data: z.string() })

const echo = defineProtocol({
  name: 'bench-echo',
  version: '1.0.0',
  methods: { echo: { request: bodySchema, response: bodySchema } },
})

const bulk = defineProtocol({
  name: 'bench-bulk',
  version: '1.0.0',
  methods: {
    flood: {
      request: z.instanceof(Uint8Array),
      stream: z.instanceof(Uint8Array),
      content: 'bytes',
      timeoutMs: BULK_LIMIT_MS,
    },
  },
})

const publisherOf = (mesh: Mesh): Publisher => {
  // One batch ahead, as with the other systems: the next one is written while the last one is still on its way.
  let sent: Promise<unknown> = Promise.resolve()
  return {
    batch: 512,
    publish: async (events) => {
      const before = sent
      sent = Promise.all(events.map((event) => mesh.events.publish('bench.tick', event)))
      sent.catch(() => {})
      await before
    },
    stop: () => mesh.stop(),
  }
}

export const system: System = {
  durable,
  tasks,
  store,

  rpc: {
    respond: async () => {
      const { mesh, address } = await startFirst()
      await mesh.serve(echo, { echo: (body) => body })
      await mesh.serve(bulk, {
        async *flood(_request, { signal }) {
          const item = new Uint8Array(BULK_ITEM_BYTES).fill(1)
          while (!signal.aborted) yield item
        },
      })
      return { address, stop: () => mesh.stop() }
    },

    connect: async (address) => {
      const { mesh, peer } = await startSecond(address)
      const client = mesh.to(peer, echo)
      return {
        call: (body: Body) => client.echo(body),
        bulk: async (onBytes) => {
          for await (const item of mesh.to(peer, bulk).flood(new Uint8Array(0))) onBytes(item.byteLength)
          throw new Error('the bulk stream ended')
        },
        stop: () => mesh.stop(),
      }
    },
  },

  events: {
    subscribe: async (onEvent) => {
      const { mesh, address } = await startFirst()
      await mesh.events.subscribe('bench.*', (event) => onEvent(bodySchema.parse(event.data)))
      return { address, stop: () => mesh.stop() }
    },

    connect: async (address) => {
      const { mesh } = await startSecond(address)
      return publisherOf(mesh)
    },
  },

  fanout: {
    publish: async () => {
      const { mesh, address } = await startFirst()
      return { address, ...publisherOf(mesh) }
    },

    subscribe: async (address, onEvent) => {
      const { mesh } = await startSecond(address)
      await mesh.events.subscribe('bench.*', (event) => onEvent(bodySchema.parse(event.data)))
      return { stop: () => mesh.stop() }
    },
  },

  bulk: {
    offer: async (open) => {
      const { mesh, address } = await startFirst()
      await mesh.serve(bulk, {
        async *flood() {
          yield* open()
        },
      })
      return { address, stop: () => mesh.stop() }
    },

    connect: async (address) => {
      const { mesh, peer } = await startSecond(address)
      return {
        fetch: async (onBytes) => {
          for await (const chunk of mesh.to(peer, bulk).flood(new Uint8Array(0))) onBytes(chunk)
        },
        stop: () => mesh.stop(),
      }
    },
  },

  journal: {
    seat: async ({ name, count, seeds, directory, port }) => {
      const known = seeds.map((seed) => addressSchema.parse(JSON.parse(seed)))
      const secret = known[0]?.secret ?? SEAT_SECRET
      const mesh = await createMesh({
        name,
        mesh: 'bench',
        secret,
        dataDir: directory,
        listen: [`/ip4/127.0.0.1/tcp/${port}`],
        join: known.flatMap((one) => one.join),
        timings: { backoffMinMs: 100, backoffMaxMs: 500 },
        coordination: { expect: count },
      })
      return {
        address: JSON.stringify({ peer: mesh.self.id, join: mesh.self.addresses, secret }),
        leads: () => mesh.coordinator.status().acting,
        stop: () => mesh.stop(),
      }
    },

    connect: async (addresses) => {
      const known = addresses.map((address) => addressSchema.parse(JSON.parse(address)))
      const mesh = await createMesh({
        name: 'decider',
        mesh: 'bench',
        secret: known[0]?.secret ?? '',
        join: known.flatMap((one) => one.join),
        timings: { backoffMinMs: 100, backoffMaxMs: 500 },
      })
      await mesh.coordinator.found({ signal: AbortSignal.timeout(START_LIMIT_MS) })
      return {
        decide: async (key, body) => void (await mesh.journal.put(key, { ...body })),
        read: async (key) => bodySchema.parse((await mesh.journal.get(key))?.value),
        stop: () => mesh.stop(),
      }
    },
  },

  members: {
    member: async (name, seeds, neighbours) => {
      const known = seeds.map((seed) => addressSchema.parse(JSON.parse(seed)))
      const secret = known[0]?.secret ?? randomBytes(32).toString('base64url')
      const mesh = await start(
        name,
        secret,
        known.flatMap((one) => one.join),
        neighbours,
      )
      await mesh.joined({ signal: AbortSignal.timeout(START_LIMIT_MS) })
      return {
        address: JSON.stringify({ peer: mesh.self.id, join: mesh.self.addresses, secret }),
        // It finds all others by itself.
        meet: async () => {},
        peers: () => mesh.members().length,
        subscribe: async (onEvent) => {
          await mesh.events.subscribe('bench.*', (event) => onEvent(bodySchema.parse(event.data)))
        },
        publish: async (body) => {
          await mesh.events.publish('bench.tick', body)
        },
        stop: () => mesh.stop(),
      }
    },
  },
}
