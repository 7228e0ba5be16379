/** The checker against one that tries every order, and on histories of objects that did answer one after the other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { checkLinearizable, type Model, type Operation } from '../../support/linearizability.ts'
import { hasOrder, historyOf, isOrderOf } from '../../support/linearizability-histories.ts'
import {
  type RecordInput,
  type RecordOutput,
  type RegisterInput,
  type RegisterOutput,
  recordModel,
  registerModel,
} from '../../support/linearizability-models.ts'

const register = registerModel('0')
const SHORT = 6

/** Few values, so that many of these histories have an order and many do not. */
const value = fc.constantFrom('0', '1', '2')
const version = fc.integer({ min: 0, max: 4 })
const condition = fc.oneof(
  fc.constant({}),
  version.map((ifVersion) => ({ ifVersion })),
)

type Asked<I, O> = readonly [input: I, output: O]

const askedOfRegister: fc.Arbitrary<Asked<RegisterInput, RegisterOutput>> = fc.oneof(
  value.map((found) => [{ key: 'a', type: 'read' }, found] as const),
  value.map((written) => [{ key: 'a', type: 'write', value: written }, null] as const),
  fc
    .tuple(value, value, fc.boolean())
    .map(([expected, written, isDone]) => [{ key: 'a', type: 'cas', expected, value: written }, isDone] as const),
)

const written = version.map((at) => ({ type: 'written', version: at }) as const)
const conflicting = version.map((at) => ({ type: 'conflict', version: at }) as const)
const deleted = fc
  .tuple(fc.boolean(), version)
  .map(([existed, at]) => ({ type: 'deleted', existed, version: at }) as const)
const got = fc.oneof(
  fc.constant({ type: 'absent' } as const),
  fc.tuple(value, version).map(([held, at]) => ({ type: 'found', value: held, version: at }) as const),
)

const askedOfRecord: fc.Arbitrary<Asked<RecordInput, RecordOutput>> = fc.oneof(
  got.map((output) => [{ key: 'a', type: 'get' }, output] as const),
  fc
    .tuple(value, condition, fc.oneof({ weight: 3, arbitrary: written }, conflicting))
    .map(([held, only, output]) => [{ key: 'a', type: 'put', value: held, ...only }, output] as const),
  fc
    .tuple(condition, fc.oneof({ weight: 3, arbitrary: deleted }, conflicting))
    .map(([only, output]) => [{ key: 'a', type: 'delete', ...only }, output] as const),
)

const historyWith = <I, O>(asked: fc.Arbitrary<Asked<I, O>>): fc.Arbitrary<Operation<I, O>[]> =>
  fc.array(
    fc
      .tuple(asked, fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 3 }))
      .map(([[input, output], callAt, length, luck]) =>
        luck === 0
          ? { process: 'c', input, output: undefined, callAt, returnAt: undefined }
          : { process: 'c', input, output, callAt, returnAt: callAt + length },
      ),
    { minLength: 1, maxLength: SHORT },
  )

/** Those that were called by then; what returns later, or at that moment where that is `open`, need not be placed yet. */
const upTo = <I, O>(history: readonly Operation<I, O>[], end: number, open: boolean): Operation<I, O>[] =>
  history
    .filter(({ callAt }) => callAt <= end)
    .map((one) => {
      const isLater = one.returnAt !== undefined && (one.returnAt > end || (open && one.returnAt === end))
      return isLater ? { ...one, returnAt: undefined } : one
    })

const agreesWithAllOrders = <S, I, O>(model: Model<S, I, O>, history: readonly Operation<I, O>[]): boolean => {
  const found = checkLinearizable(model, history)
  const isGood = hasOrder(model, history)
  assert.equal(found.verdict, isGood ? 'linearizable' : 'not')
  if (found.verdict === 'linearizable')
    for (const order of found.orders.values()) assert.ok(isOrderOf(model, order, history))
  if (found.verdict === 'not') {
    const { placed, blocked } = found
    const end = blocked.returnAt ?? Number.NaN
    assert.ok(isOrderOf(model, placed, placed))
    assert.equal(hasOrder(model, upTo(history, end, false)), false, 'up to there it cannot be explained')
    assert.ok(hasOrder(model, upTo(history, end, true)), 'up to just before it can')
  }
  return isGood
}

const compare = <S, I, O>(model: Model<S, I, O>, asked: fc.Arbitrary<Asked<I, O>>, numRuns: number): void => {
  const counts = { good: 0, bad: 0 }
  fc.assert(
    fc.property(historyWith(asked), (history) => {
      counts[agreesWithAllOrders(model, history) ? 'good' : 'bad'] += 1
    }),
    { numRuns },
  )
  assert.ok(counts.good > numRuns / 20 && counts.bad > numRuns / 20, JSON.stringify(counts))
}

test('short histories of a register: as somebody finds who tries all orders', () =>
  compare(register, askedOfRegister, 3_000))

test('short histories of a record: as somebody finds who tries all orders', () =>
  compare(recordModel, askedOfRecord, 3_000))

test('short histories of an object that leaves open what it did: as somebody finds who tries all orders', () => {
  const vague: typeof register = {
    ...register,
    step: (state, input, output) =>
      input.type === 'write' && input.value === '2' ? ['0', '1'] : register.step(state, input, output),
  }
  compare(vague, askedOfRegister, 1_000)
})

test('without what a model says for speed the answers are the same', () => {
  const { isRead: _, overwrites: __, ...slow } = register
  compare(slow, askedOfRegister, 1_000)
  const { isRead: ___, overwrites: ____, ...slowRecord } = recordModel
  compare(slowRecord, askedOfRecord, 1_000)
})

interface Load {
  readonly seed: number
  readonly operations: number
  readonly clients?: number
  readonly lostShare?: number
  /** 0: each write has its own. */
  readonly values?: number
}

const registerHistory = ({ seed, operations, clients = 8, lostShare = 0, values = 0 }: Load) => {
  const random = createRandom(seed)
  const written = ['0']
  let state = '0'
  const pick = (): string => written[Math.floor(random() * written.length)] ?? '0'
  const fresh = (): string => String(values > 0 ? Math.floor(random() * values) : written.length + 1_000_000 * random())
  const history = historyOf<RegisterInput, RegisterOutput>({
    random,
    operations,
    clients,
    lostShare,
    ask() {
      const which = random()
      if (which < 0.4) return { key: 'a', type: 'read' }
      if (which < 0.8) return { key: 'a', type: 'write', value: fresh() }
      return { key: 'a', type: 'cas', expected: random() < 0.7 ? state : pick(), value: fresh() }
    },
    apply(input) {
      if (input.type === 'read') return state
      const isDone = input.type === 'write' || input.expected === state
      if (isDone) {
        state = input.value
        written.push(state)
      }
      return input.type === 'write' ? null : isDone
    },
  })
  return { history, random, pick }
}

/** One read finds something else that was written at some time. */
const corrupted = ({ history, random, pick }: ReturnType<typeof registerHistory>) => {
  const reads = history.filter(({ input, returnAt }) => input.type === 'read' && returnAt !== undefined)
  const victim = reads[Math.floor(random() * reads.length)]
  return history.map((one) => (one === victim ? { ...one, output: pick() } : one))
}

const recordHistory = ({ seed, operations, clients = 8, lostShare = 0 }: Load) => {
  const random = createRandom(seed)
  let [held, at, index] = [undefined as string | undefined, 0, 0]
  return historyOf<RecordInput, RecordOutput>({
    random,
    operations,
    clients,
    lostShare,
    ask() {
      const which = random()
      const only = random() < 0.5 ? {} : { ifVersion: random() < 0.8 ? at : Math.floor(random() * (index + 1)) }
      if (which < 0.4) return { key: 'a', type: 'get' }
      if (which < 0.9) return { key: 'a', type: 'put', value: String(random()), ...only }
      return { key: 'a', type: 'delete', ...only }
    },
    apply(input) {
      if (input.type === 'get')
        return held === undefined ? { type: 'absent' } : { type: 'found', value: held, version: at }
      index += 1 + Math.floor(random() * 3)
      if (input.ifVersion !== undefined && input.ifVersion !== at) return { type: 'conflict', version: at }
      const existed = held !== undefined
      held = input.type === 'put' ? input.value : undefined
      at = input.type === 'put' ? index : 0
      return input.type === 'put' ? { type: 'written', version: index } : { type: 'deleted', existed, version: index }
    },
  })
}

test('long histories of a register are accepted with little work: 4,000 operations of 8 clients, answers lost or not', () => {
  for (const load of [{}, { values: 5 }, { lostShare: 0.02 }, { lostShare: 0.05 }, { lostShare: 0.05, values: 50 }]) {
    const { history } = registerHistory({ seed: 11, operations: 4_000, ...load })
    const found = checkLinearizable(register, history)
    assert.equal(found.verdict, 'linearizable', JSON.stringify(load))
    assert.ok(found.steps < 3_000_000, `${JSON.stringify(load)}: ${found.steps} steps`)
  }
})

test('long histories of a record are accepted with little work, answers lost or not', () => {
  for (const load of [
    { operations: 4_000 },
    { operations: 4_000, lostShare: 0.01 },
    { operations: 400, lostShare: 0.08 },
  ]) {
    const found = checkLinearizable(recordModel, recordHistory({ seed: 12, ...load }))
    assert.equal(found.verdict, 'linearizable', JSON.stringify(load))
    assert.ok(found.steps < 3_000_000, `${JSON.stringify(load)}: ${found.steps} steps`)
  }
})

test('many seeds are accepted, and most are refused when one read is told something else', () => {
  const refused = { short: 0, long: 0 }
  const SEEDS = 100
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const long = registerHistory({ seed, operations: 200, lostShare: 0.03 })
    assert.equal(checkLinearizable(register, long.history).verdict, 'linearizable', `seed ${seed}`)
    if (checkLinearizable(register, corrupted(long)).verdict === 'not') refused.long += 1
    const short = registerHistory({ seed, operations: SHORT, clients: 3, lostShare: 0.1 })
    assert.ok(hasOrder(register, short.history), `seed ${seed}`)
    assert.equal(checkLinearizable(register, short.history).verdict, 'linearizable', `seed ${seed}`)
    if (!agreesWithAllOrders(register, corrupted(short))) refused.short += 1
    const record = recordHistory({ seed, operations: 200, lostShare: 0.03 })
    assert.equal(checkLinearizable(recordModel, record).verdict, 'linearizable', `seed ${seed}`)
  }
  assert.ok(refused.long > 0.9 * SEEDS, `refused ${refused.long} of ${SEEDS} long ones`)
  assert.ok(refused.short > 0.1 * SEEDS, `refused ${refused.short} of ${SEEDS} short ones`)
})
