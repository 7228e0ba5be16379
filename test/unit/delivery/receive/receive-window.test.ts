/** Messages of one sender at its receiver, as a machine: what may run when, duplicates, skips, failures, bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isDone, LANE_SPAN } from '../../../../protocols/delivery/ack-ranges.ts'
import { type HeldMessage, ReceiveWindow } from '../../../../protocols/delivery/receive/receive-window.ts'

const NUMBERS = 12
const CONVERSATIONS = [undefined, 'a', 'b'] as const
const SIZE = 10

type Action =
  | { readonly kind: 'arrive'; readonly lane: number; readonly sequence: number; readonly isSkip: boolean }
  | { readonly kind: 'finish'; readonly which: number }
  | { readonly kind: 'fail'; readonly which: number }
  | { readonly kind: 'settle'; readonly which: number }
  | { readonly kind: 'raise'; readonly lane: number }

const which = fc.nat({ max: 50 })
const lane = fc.nat({ max: 1 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('arrive' as const),
      lane,
      sequence: fc.integer({ min: 1, max: NUMBERS }),
      isSkip: fc.nat({ max: 7 }).map((n) => n === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('finish' as const), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('raise' as const), lane }) },
)

/** The machine beside sets of numbers. */
const createRun = (conversations: readonly (string | undefined)[]) => {
  const running: HeldMessage<string>[] = []
  const finished: HeldMessage<string>[] = []
  const processed = new Set<string>()
  const skipped = new Set<string>()
  const arrived = new Set<string>()
  const memory = { bytes: 0 }
  const nameOf = (number: number, sequence: number): string => `${number}/${sequence}`
  const conversationOf = (sequence: number): string | undefined => conversations[sequence - 1]

  const machine = new ReceiveWindow<string>(
    (held) => {
      const name = nameOf(held.lane, held.sequence)
      assert.equal(held.message, name, 'it is the message of its number')
      assert.ok(!processed.has(name), `${name} was processed already`)
      for (let before = 1; before < held.sequence; before += 1) {
        const earlier = nameOf(held.lane, before)
        const isOver = processed.has(earlier) || skipped.has(earlier)
        assert.ok(isOver || arrived.has(earlier), `${name} runs, and ${earlier} is not known`)
        const isSame = held.conversation !== undefined && conversationOf(before) === held.conversation
        assert.ok(!isSame || isOver, `${name} runs before ${earlier} of its conversation`)
      }
      running.push(held)
    },
    undefined,
    memory,
  )
  const isDoneAt = (number: number, sequence: number): boolean => {
    const position = machine.liveAckRanges().get(number)
    return position !== undefined && isDone(position, sequence)
  }
  const take = (list: HeldMessage<string>[], at: number): HeldMessage<string> | undefined =>
    list.splice(at % Math.max(1, list.length), 1)[0]

  const run = (one: Action): void => {
    if (one.kind === 'arrive') {
      const { sequence, isSkip } = one
      const name = nameOf(one.lane, sequence)
      const wasDone = isDoneAt(one.lane, sequence)
      const isAtWork = [...running, ...finished].some((held) => held.lane === one.lane && held.sequence === sequence)
      arrived.add(name)
      // Its sender has given it up, and sends nothing else from then on.
      if (isSkip && !wasDone && !isAtWork) skipped.add(name)
      const isGivenUp = isSkip || skipped.has(name)
      const conversation = isGivenUp ? undefined : conversationOf(sequence)
      const arrival = machine.arrived(one.lane, sequence, isGivenUp ? undefined : name, conversation, SIZE)
      if (wasDone && !isAtWork) assert.equal(arrival, 'duplicate')
      if (isAtWork) assert.equal(arrival, 'known', 'it is acknowledged by whoever works at it')
    } else if (one.kind === 'finish') {
      const held = take(running, one.which)
      if (held === undefined) return
      processed.add(nameOf(held.lane, held.sequence))
      finished.push(held)
      machine.finished(held)
    } else if (one.kind === 'fail') {
      const held = take(running, one.which)
      if (held !== undefined) machine.failed(held)
    } else if (one.kind === 'settle') {
      const held = take(finished, one.which)
      if (held !== undefined) machine.settled(held)
    } else {
      let base = 1
      while (isDoneAt(one.lane, base)) base += 1
      assert.equal(machine.raiseBases(new Map([[one.lane, base]])), 0, 'what was acknowledged is known')
    }
  }

  const check = (): void => {
    assert.equal(machine.running(), running.length)
    for (const number of [0, 1])
      for (let sequence = 1; sequence <= NUMBERS; sequence += 1) {
        const name = nameOf(number, sequence)
        if (processed.has(name)) assert.ok(isDoneAt(number, sequence), `${name} was processed`)
        else if (isDoneAt(number, sequence))
          assert.ok(skipped.has(name), `${name} counts as done, and nothing was done`)
      }
    const told = machine
      .held()
      .flatMap(({ lane: number, sequences }) => sequences.map((sequence) => nameOf(number, sequence)))
    for (const held of [...running, ...finished]) assert.ok(told.includes(nameOf(held.lane, held.sequence)))
    for (const { lane: number, sequences } of machine.missing())
      for (const sequence of sequences)
        assert.ok(!told.includes(nameOf(number, sequence)) && !isDoneAt(number, sequence))
    assert.ok(memory.bytes >= running.length * SIZE && memory.bytes <= 2 * NUMBERS * SIZE)
  }

  /** Its sender sends what is not acknowledged, and nothing fails. */
  const drain = (): void => {
    for (let turn = 0; turn < 4; turn += 1) {
      for (const number of [0, 1])
        for (let sequence = 1; sequence <= NUMBERS; sequence += 1)
          if (!isDoneAt(number, sequence)) run({ kind: 'arrive', lane: number, sequence, isSkip: false })
      while (running.length > 0) run({ kind: 'finish', which: 0 })
      while (finished.length > 0) run({ kind: 'settle', which: 0 })
    }
    check()
    assert.deepEqual(machine.held(), [])
    assert.deepEqual(machine.missing(), [])
    assert.equal(memory.bytes, 0)
    for (const position of machine.ackRanges().values()) assert.deepEqual(position, { upTo: NUMBERS, done: new Set() })
  }
  return { run, check, drain }
}

test('in whatever order numbers come, fail and are skipped, each runs to its end once and in its turn', () => {
  const conversations = fc.array(fc.constantFrom(...CONVERSATIONS), { minLength: NUMBERS, maxLength: NUMBERS })
  fc.assert(
    fc.property(conversations, fc.array(action, { maxLength: 80, size: 'max' }), (of, actions) => {
      const { run, check, drain } = createRun(of)
      for (const one of actions) {
        run(one)
        check()
      }
      drain()
    }),
    { numRuns: 500 },
  )
})

test('what a restart knows is not run again', () => {
  const ran: number[] = []
  const machine = new ReceiveWindow<string>(
    ({ sequence }) => ran.push(sequence),
    new Map([[3, { upTo: 2, done: new Set([4]) }]]),
  )
  for (let sequence = 1; sequence <= 5; sequence += 1) machine.arrived(3, sequence, 'm', undefined, 1)
  assert.deepEqual(ran, [3, 5])
})

test('numbers within the span of a lane are taken, and the next one is beyond', () => {
  const machine = new ReceiveWindow<string>(() => {})
  assert.equal(machine.arrived(0, LANE_SPAN, 'm', undefined, 1), 'taken')
  assert.equal(machine.arrived(0, LANE_SPAN + 1, 'm', undefined, 1), 'beyond')
  machine.raiseBases(new Map([[0, 2]]))
  assert.equal(machine.arrived(0, LANE_SPAN + 1, 'm', undefined, 1), 'taken')
})

test('a base above what is known lets what waited for it run, and says how much is not known', () => {
  const ran: number[] = []
  const machine = new ReceiveWindow<string>(({ sequence }) => ran.push(sequence))
  machine.arrived(0, 5, 'm', undefined, 1)
  assert.deepEqual(machine.missing(), [{ lane: 0, sequences: [1, 2, 3, 4] }])
  assert.equal(machine.raiseBases(new Map([[0, 5]])), 4)
  assert.deepEqual(ran, [5])
})

test('of many missing numbers 128 are asked for', () => {
  const machine = new ReceiveWindow<string>(() => {})
  machine.arrived(0, 129, 'm', undefined, 1)
  assert.equal(machine.missing()[0]?.sequences.length, 128)
  machine.arrived(0, 500, 'm', undefined, 1)
  assert.equal(machine.missing()[0]?.sequences.length, 128)
})
