/**
 * What one honest node forwards, no other honest node refuses, however they are set up and whatever each heard before:
 * who forwards what is refused is cut off (node/network/gossip/gossip-penalties.ts).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { EventsOptions } from '../../../../protocols/events/options.ts'
import { batch } from '../forged.ts'
import { node, TOPIC } from '../listeners.ts'
import { createPorts } from '../ports.ts'

const NODES = 4

const options = fc.record(
  {
    maxPublishers: fc.constantFrom(1, 2, 1024),
    maxUnverifiedBytes: fc.constantFrom(1 << 20, 1 << 25),
    maxWaitingBytes: fc.constantFrom(1 << 16, 1 << 24),
    gapMs: fc.constantFrom(50, 30_000),
  },
  { requiredKeys: [] },
)
const one = fc.record({
  publisher: fc.constantFrom('q', 'r', 's', 'node 0'),
  signer: fc.constantFrom(undefined, undefined, undefined, 'mallory'),
  epoch: fc.constantFrom(5, 6, 2_000),
  first: fc.integer({ min: 1, max: 6 }),
  word: fc.constantFrom('tasks', 'tasks', 'tasks', 'agents'),
  mesh: fc.constantFrom('test', 'test', 'test', 'other'),
})
/** Sent to one of them by somebody who makes and replays what it likes. */
const sent = fc.record({ to: fc.nat({ max: NODES - 1 }), which: fc.nat({ max: 19 }), damage: fc.nat({ max: 9 }) })

test('what an honest node forwards is refused by none, whatever its options and what it heard before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(options, { minLength: NODES, maxLength: NODES }),
      fc.array(one, { minLength: 20, maxLength: 20 }),
      fc.array(sent, { minLength: 10, maxLength: 60 }),
      async (each, made, script) => {
        const net = createPorts()
        const nodes = each.map((given, index) => node(net, `node ${index}`, given as EventsOptions))
        for (const { listen } of nodes) await listen()
        const batches = made.map(({ signer, ...rest }) => batch(signer === undefined ? rest : { ...rest, signer }))
        const reach = async (to: number, bytes: Uint8Array, from: string, depth: number): Promise<void> => {
          const receiving = nodes[to]?.peer.gossip.receive(TOPIC, bytes, from)
          const acceptance = receiving === undefined ? 'ignore' : await net.until(receiving)
          if (depth > 0) assert.notEqual(acceptance, 'refuse', `node ${to} refuses what ${from} forwarded`)
          if (acceptance !== 'forward' || depth >= 2) return
          for (const next of nodes.keys()) if (next !== to) await reach(next, bytes, `node ${to}`, depth + 1)
        }
        for (const { to, which, damage } of script) {
          const bytes = batches[which] ?? batch()
          await reach(to, damage === 0 ? bytes.slice(0, -1) : bytes, 'mallory', 0)
          if (damage === 1) await net.run(100)
        }
      },
    ),
    { numRuns: 60 },
  )
})
