/** The checker on histories of a register, good and bad ones; and what it says of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkLinearizable, type Operation } from '../../support/linearizability.ts'
import { type RegisterInput, type RegisterOutput, registerModel } from '../../support/linearizability-models.ts'
import { explainHistory } from '../../support/linearizability-text.ts'

type RegisterOperation = Operation<RegisterInput, RegisterOutput>
/** From call to return; without a return the answer was lost. */
type Span = readonly [callAt: number, returnAt?: number]

const model = registerModel('0')
let clients = 0

const operation = (input: RegisterInput, output: RegisterOutput, [callAt, returnAt]: Span): RegisterOperation => {
  clients += 1
  return { process: `c${clients}`, input, output: returnAt === undefined ? undefined : output, callAt, returnAt }
}
const write = (value: string, span: Span, key = 'a') => operation({ key, type: 'write', value }, null, span)
const read = (value: string, span: Span, key = 'a') => operation({ key, type: 'read' }, value, span)
const cas = (expected: string, value: string, isDone: boolean, span: Span, key = 'a') =>
  operation({ key, type: 'cas', expected, value }, isDone, span)

const verdictOf = (history: readonly RegisterOperation[]) => checkLinearizable(model, history).verdict

const GOOD: Record<string, readonly RegisterOperation[]> = {
  'nothing at all': [],
  'one after the other': [write('1', [0, 1]), read('1', [2, 3]), cas('1', '2', true, [4, 5]), read('2', [6, 7])],
  'a read beside a write finds the old value': [write('1', [0, 10]), read('0', [1, 2])],
  'a read beside a write finds the new value': [write('1', [0, 10]), read('1', [1, 2])],
  'two reads that overlap find new and old': [write('1', [0, 10]), read('1', [1, 5]), read('0', [2, 6])],
  'two writes that overlap, in the order that reads tell': [
    write('1', [0, 10]),
    write('2', [0, 10]),
    read('2', [11, 12]),
    read('2', [13, 14]),
  ],
  'a write that was called first is the later one': [
    write('1', [0, 10]),
    write('2', [1, 3]),
    read('2', [4, 5]),
    read('1', [6, 7]),
  ],
  'a compare-and-set that fails, since another one was there first': [
    cas('0', '1', true, [0, 10]),
    cas('0', '2', false, [0, 10]),
    read('1', [11, 12]),
  ],
  'a call in the moment of a return overlaps it': [write('1', [0, 5]), read('0', [5, 6])],
  'an operation without duration': [write('1', [3, 3]), read('1', [4, 4])],
  'a write without an answer that nobody ever sees': [write('1', [0]), read('0', [5, 6]), read('0', [7, 8])],
  'a write without an answer that is seen at once': [write('1', [0]), read('1', [1, 2]), read('1', [3, 4])],
  'a write without an answer that is seen much later': [
    write('1', [0]),
    read('0', [5, 6]),
    write('2', [7, 8]),
    read('2', [9, 10]),
    read('1', [100, 101]),
  ],
  'a compare-and-set without an answer that made room for another': [
    cas('0', '1', true, [0]),
    cas('1', '2', true, [5, 6]),
    read('2', [7, 8]),
  ],
  'one without an answer after the other': [
    write('1', [0]),
    cas('1', '2', true, [1]),
    read('0', [5, 6]),
    read('2', [7, 8]),
  ],
  'two writes of the same value without answers, each seen once': [
    write('1', [0]),
    write('1', [0]),
    read('1', [1, 2]),
    write('2', [3, 4]),
    read('2', [5, 6]),
    read('1', [7, 8]),
  ],
}

const BAD: Record<string, readonly RegisterOperation[]> = {
  'a value that nobody wrote': [write('1', [0, 1]), read('7', [2, 3])],
  'a stale read after a completed write': [write('1', [0, 1]), read('0', [2, 3])],
  'a stale read beside another write': [write('1', [0, 1]), write('2', [2, 9]), read('0', [3, 4])],
  'a read of what is written later': [read('1', [0, 1]), write('1', [2, 3])],
  'reads of two clients go back in time': [write('1', [0, 10]), read('1', [1, 2]), read('0', [3, 4])],
  'two readers disagree about the order of two writes': [
    write('1', [0, 4]),
    write('2', [0, 4]),
    read('1', [5, 6]),
    read('2', [7, 8]),
  ],
  'two compare-and-sets from the same value are both done': [
    cas('0', '1', true, [0, 10]),
    cas('0', '2', true, [0, 10]),
  ],
  'a lost update: the second set did not see the first': [
    read('0', [0, 1]),
    read('0', [0, 1]),
    cas('0', '1', true, [2, 3]),
    cas('0', '2', true, [4, 5]),
    read('2', [6, 7]),
  ],
  'a compare-and-set that fails although nothing else happened': [cas('0', '1', false, [0, 1])],
  'a failed compare-and-set has an effect': [cas('5', '1', false, [0, 1]), read('1', [2, 3])],
  'a write without an answer is seen, then not seen': [write('1', [0]), read('1', [1, 2]), read('0', [3, 4])],
  'a write without an answer is seen before it was called': [read('1', [0, 1]), write('1', [2])],
  'a retried write counts twice': [
    write('1', [0, 3]),
    read('1', [4, 5]),
    write('2', [6, 7]),
    read('2', [8, 9]),
    read('1', [10, 11]),
  ],
  'a write without an answer counts twice': [
    write('1', [0]),
    read('1', [1, 2]),
    write('2', [3, 4]),
    read('2', [5, 6]),
    read('1', [7, 8]),
  ],
  'a compare-and-set without an answer had no chance to be done': [cas('3', '1', true, [0]), read('1', [5, 6])],
}

for (const [name, history] of Object.entries(GOOD))
  test(`accepted: ${name}`, () => assert.equal(verdictOf(history), 'linearizable'))

for (const [name, history] of Object.entries(BAD))
  test(`refused: ${name}`, () => assert.equal(verdictOf(history), 'not'))

test('the order of the history as it is given does not matter', () => {
  for (const history of Object.values(GOOD)) assert.equal(verdictOf(history.toReversed()), 'linearizable')
  for (const history of Object.values(BAD)) assert.equal(verdictOf(history.toReversed()), 'not')
})

test('several registers are judged each for itself, and the one that is wrong is named', () => {
  const history = [
    write('1', [0, 1], 'a'),
    write('2', [0, 1], 'b'),
    read('1', [2, 3], 'a'),
    read('2', [2, 3], 'b'),
    read('0', [2, 3], 'c'),
  ]
  const good = checkLinearizable(model, history)
  assert.equal(good.verdict, 'linearizable')
  assert.deepEqual([...good.orders.keys()].sort(), ['a', 'b', 'c'])
  const bad = checkLinearizable(model, [...history, read('2', [4, 5], 'a')])
  assert.equal(bad.verdict === 'not' && bad.partition, 'a')
})

test('a bad history is explained by its longest order, what has no place after it, and nothing that came later', () => {
  const first = write('1', [0, 1])
  const second = write('2', [2, 20])
  const seen = read('2', [3, 4])
  const stale = read('1', [5, 6])
  const later = [read('9', [30, 31]), write('5', [32, 33])]
  const found = checkLinearizable(model, [first, second, seen, stale, ...later])
  assert.ok(found.verdict === 'not')
  assert.deepEqual(found.placed, [first, second, seen])
  assert.equal(found.state, '2')
  assert.equal(found.blocked, stale)
  assert.deepEqual(found.unplaced, [stale])
})

test('what might have had an effect is told where it does not help, and what could not is left out', () => {
  const useless = [read('0', [0]), cas('8', '9', true, [0])]
  const lost = write('3', [1])
  const found = checkLinearizable(model, [...useless, lost, write('1', [2, 3]), read('2', [4, 5])])
  assert.ok(found.verdict === 'not')
  assert.deepEqual(found.unplaced, [found.blocked, lost])
})

test('the explanation in words is short and names what happened', () => {
  const many = Array.from({ length: 50 }, (_, i) => write(`w${i}`, [i, i + 0.5]))
  const found = checkLinearizable(model, [...many, write('x', [60]), read('w3', [70, 71])])
  assert.ok(found.verdict === 'not')
  const text = explainHistory(model, found, 3)
  assert.ok(text.split('\n').length < 12, text)
  for (const part of [
    /of a is not linearizable/,
    /70 to 71 c\d+: read a: w3/,
    /50 operations.*47 more/,
    /w49/,
    /60 to \?.*x \(no/,
  ])
    assert.match(text, part)
})

test('a history that takes more than the budget is neither accepted nor refused', () => {
  const writes = Array.from({ length: 24 }, (_, i) => write(String(i), [0, 100]))
  const hard = [...writes, read('none', [50, 100])]
  const found = checkLinearizable(model, hard, { maxSteps: 10_000 })
  assert.equal(found.verdict, 'unknown')
  assert.ok(found.steps >= 10_000 && found.steps < 10_100, String(found.steps))
  assert.ok(found.configurations > 0 && found.configurations <= found.steps)
})

test('an object that is wrong is found behind one that is too hard, while there is budget', () => {
  const writes = Array.from({ length: 12 }, (_, i) => write(String(i), [0, 100], 'hard'))
  const hard = [...writes, read('none', [50, 100], 'hard')]
  const wrong = [read('7', [0, 1], 'wrong')]
  assert.equal(checkLinearizable(model, [...wrong, ...hard], { maxSteps: 1_000 }).verdict, 'not')
  assert.equal(checkLinearizable(model, hard, { maxSteps: 1_000 }).verdict, 'unknown')
  assert.equal(checkLinearizable(model, hard).verdict, 'not')
})

test('what cannot be a history is refused', () => {
  const good = write('1', [0, 1])
  for (const bad of [
    { ...good, returnAt: -1 },
    { ...good, returnAt: Number.NaN },
    { ...good, callAt: Number.NaN },
    { ...good, output: undefined },
    { ...good, returnAt: undefined },
  ])
    assert.throws(() => verdictOf([bad]), RangeError)
})
