/**
 * A protocol of one's own in one file: slots of something scarce (a GPU, a licence), handed out in order, taken back from
 * whoever leaves or forgets. Its three parts, as in every protocol of the mesh:
 *
 * - the contract: what is said, as data;
 * - the machine: what is decided, as a pure function of state, input and time, so that it is tested without a mesh;
 * - the factory: what carries it out, over the part of the Port that it needs.
 */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createMesh, defineProtocol, isParleyError, makeSecret, ParleyError, type Port } from '../node/index.ts'

// ── The contract ──────────────────────────────────────────────────────────────────────────────────────────────────

export const slots = defineProtocol({
  name: 'slots',
  version: '1.0.0',
  methods: {
    take: { request: z.object({}), response: z.object({ slot: z.int() }), timeoutMs: 60_000 },
    give: { request: z.object({ slot: z.int() }), response: z.object({}), idempotent: true },
  },
})

// ── The machine ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Every queue has a bound. */
const MAX_WAITING = 100

interface Held {
  readonly slot: number
  readonly peer: string
  /** Milliseconds, of the clock that the inputs carry. */
  readonly until: number
}

interface Slots {
  readonly free: readonly number[]
  readonly held: readonly Held[]
  readonly waiting: readonly { readonly ticket: number; readonly peer: string }[]
}

type Input =
  | { readonly type: 'take'; readonly ticket: number; readonly peer: string }
  | { readonly type: 'withdraw'; readonly ticket: number }
  | { readonly type: 'give'; readonly slot: number; readonly peer: string }
  | { readonly type: 'left'; readonly peer: string }
  | { readonly type: 'tick' }

type Effect =
  | { readonly type: 'grant'; readonly ticket: number; readonly slot: number }
  | { readonly type: 'refuse'; readonly ticket: number }

const isBackBy = (input: Input, nowMs: number) => (held: Held) =>
  held.until <= nowMs ||
  (input.type === 'left' && held.peer === input.peer) ||
  (input.type === 'give' && held.peer === input.peer && held.slot === input.slot)

/** Takes back what is free again, then grants in the order in which it was asked for. */
export const step = (
  state: Slots,
  input: Input,
  nowMs: number,
  leaseMs: number,
): { state: Slots; effects: Effect[] } => {
  const effects: Effect[] = []
  const isBack = isBackBy(input, nowMs)
  const free = [...state.free, ...state.held.filter(isBack).map(({ slot }) => slot)]
  const held = state.held.filter((one) => !isBack(one))
  let waiting = state.waiting.filter(
    ({ ticket, peer }) =>
      !(input.type === 'withdraw' && ticket === input.ticket) && !(input.type === 'left' && peer === input.peer),
  )
  if (input.type === 'take') {
    if (waiting.length < MAX_WAITING) waiting = [...waiting, { ticket: input.ticket, peer: input.peer }]
    else effects.push({ type: 'refuse', ticket: input.ticket })
  }
  for (const { ticket, peer } of waiting.slice(0, free.length)) {
    const slot = free.shift()
    if (slot === undefined) break
    held.push({ slot, peer, until: nowMs + leaseMs })
    effects.push({ type: 'grant', ticket, slot })
  }
  const granted = effects.filter(({ type }) => type === 'grant').length
  return { state: { free, held, waiting: waiting.slice(granted) }, effects }
}

// ── The factory ───────────────────────────────────────────────────────────────────────────────────────────────────

export const createSlots = async (
  port: Pick<Port, 'serve' | 'onMember' | 'clock' | 'timers'>,
  { count, leaseMs }: { count: number; leaseMs: number },
): Promise<{ free(): number; stop(): Promise<void> }> => {
  let state: Slots = { free: Array.from({ length: count }, (_, slot) => slot), held: [], waiting: [] }
  const asking = new Map<number, PromiseWithResolvers<{ slot: number }>>()
  let tickets = 0

  const feed = (input: Input): void => {
    const next = step(state, input, port.clock.monotonic(), leaseMs)
    state = next.state
    for (const effect of next.effects) {
      const asker = asking.get(effect.ticket)
      if (effect.type === 'grant') asker?.resolve({ slot: effect.slot })
      else asker?.reject(new ParleyError('COM003', `${MAX_WAITING} wait for a slot`, { hint: 'try again later' }))
    }
  }

  const unserve = await port.serve(slots, {
    async take(_input, { peer, signal }) {
      tickets += 1
      const ticket = tickets
      const asker = Promise.withResolvers<{ slot: number }>()
      asking.set(ticket, asker)
      const leave = (): void => {
        feed({ type: 'withdraw', ticket })
        asker.reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      try {
        feed({ type: 'take', ticket, peer })
        return await asker.promise
      } finally {
        signal.removeEventListener('abort', leave)
        asking.delete(ticket)
      }
    },
    give({ slot }, { peer }) {
      feed({ type: 'give', slot, peer })
      return {}
    },
  })
  // A connection that both sides gave up because nobody needed it says nothing about the peer.
  const stopMembers = port.onMember(({ id }, change, parted) => {
    if (change === 'left' && parted !== true) feed({ type: 'left', peer: id })
  })
  const stopTicks = port.timers.every(leaseMs / 4, () => feed({ type: 'tick' }))
  return {
    free: () => state.free.length,
    async stop() {
      stopMembers()
      stopTicks()
      await unserve()
    },
  }
}

if (import.meta.main) {
  // The machine alone: one slot, two who want it. No socket, no timer, no waiting.
  const one: Slots = { free: [0], held: [], waiting: [] }
  const first = step(one, { type: 'take', ticket: 1, peer: 'a' }, 0, 1_000)
  const second = step(first.state, { type: 'take', ticket: 2, peer: 'b' }, 10, 1_000)
  const expired = step(second.state, { type: 'tick' }, 1_000, 1_000)
  assert.deepEqual(first.effects, [{ type: 'grant', ticket: 1, slot: 0 }])
  assert.deepEqual(second.effects, [])
  assert.deepEqual(expired.effects, [{ type: 'grant', ticket: 2, slot: 0 }])

  // And over the mesh: one slot, and two agents that want it.
  const secret = makeSecret()
  const owner = await createMesh({ name: 'owner', secret })
  const pool = await createSlots(owner.port, { count: 1, leaseMs: 30_000 })
  const ada = await createMesh({ name: 'ada', secret, join: owner.self.addresses })
  const bob = await createMesh({ name: 'bob', secret, join: owner.self.addresses })
  await Promise.all([ada.joined(), bob.joined()])
  const { slot } = await ada.to(owner.self.id, slots).take({})
  const tooSoon = await bob
    .to(owner.self.id, slots)
    .take({}, { timeoutMs: 200 })
    .catch((error: unknown) => error)
  const waits = bob.to(owner.self.id, slots).take({})
  await ada.stop() // without giving it back
  const handedOn = await waits
  await bob.to(owner.self.id, slots).give(handedOn)
  process.stdout.write(`ada had slot ${slot}, left, and bob got slot ${handedOn.slot}; ${pool.free()} free\n`)
  await bob.stop()
  await pool.stop()
  await owner.stop()
  assert.ok(isParleyError(tooSoon, 'COM001'))
  assert.deepEqual(handedOn, { slot })
}
