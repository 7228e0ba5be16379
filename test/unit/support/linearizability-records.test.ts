/** The checker on histories of records with versions, as the journal keeps them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkLinearizable, type Operation } from '../../support/linearizability.ts'
import { type RecordInput, type RecordOutput, recordModel } from '../../support/linearizability-models.ts'

type RecordOperation = Operation<RecordInput, RecordOutput>
type Span = readonly [callAt: number, returnAt?: number]

const operation = (input: RecordInput, output: RecordOutput, [callAt, returnAt]: Span): RecordOperation => ({
  process: 'c',
  input,
  output: returnAt === undefined ? undefined : output,
  callAt,
  returnAt,
})
const only = (ifVersion: number | undefined) => (ifVersion === undefined ? {} : { ifVersion })

const key = 'a'
/** Answered with the version that was written. */
const put = (value: string, version: number, span: Span, ifVersion?: number) =>
  operation({ key, type: 'put', value, ...only(ifVersion) }, { type: 'written', version }, span)
/** Without an answer. */
const lostPut = (value: string, callAt: number, ifVersion?: number) => put(value, 0, [callAt], ifVersion)
const found = (value: string, version: number, span: Span) =>
  operation({ key, type: 'get' }, { type: 'found', value, version }, span)
const absent = (span: Span) => operation({ key, type: 'get' }, { type: 'absent' }, span)
/** Answered with the version that was found instead. */
const conflict = (ifVersion: number | undefined, version: number, span: Span) =>
  operation({ key, type: 'put', value: 'never', ...only(ifVersion) }, { type: 'conflict', version }, span)
const remove = (existed: boolean, version: number, span: Span, ifVersion?: number) =>
  operation({ key, type: 'delete', ...only(ifVersion) }, { type: 'deleted', existed, version }, span)
const removeConflict = (ifVersion: number, version: number, span: Span) =>
  operation({ key, type: 'delete', ifVersion }, { type: 'conflict', version }, span)

const GOOD: Record<string, readonly RecordOperation[]> = {
  'a record from its beginning to its end': [
    absent([0, 1]),
    put('x', 5, [2, 3], 0),
    found('x', 5, [4, 5]),
    put('y', 9, [6, 7], 5),
    found('y', 9, [8, 9]),
    remove(true, 12, [10, 11], 9),
    absent([12, 13]),
    remove(false, 14, [14, 15]),
    put('z', 20, [16, 17], 0),
    found('z', 20, [18, 19]),
  ],
  'one of two writes from the same version is told of the other': [
    put('x', 5, [0, 1]),
    put('y', 8, [2, 9], 5),
    conflict(5, 8, [2, 9]),
    found('y', 8, [10, 11]),
  ],
  'a condition on a record that is not there': [conflict(5, 0, [0, 1]), removeConflict(5, 0, [2, 3])],
  'a record that should not be there': [put('x', 5, [0, 1]), conflict(0, 5, [2, 3]), removeConflict(0, 5, [4, 5])],
  'a write without an answer: a read tells its version': [
    put('x', 5, [0, 1]),
    lostPut('y', 2),
    found('y', 8, [3, 4]),
    put('z', 9, [5, 6], 8),
  ],
  'a write without an answer: a conflict tells its version': [
    put('x', 5, [0, 1]),
    lostPut('y', 2),
    conflict(5, 8, [3, 4]),
    found('y', 8, [5, 6]),
  ],
  'a write without an answer: somebody guessed its version': [
    lostPut('y', 2),
    put('z', 9, [5, 6], 8),
    found('z', 9, [7, 8]),
  ],
  'a write without an answer that comes late': [
    lostPut('y', 0),
    put('x', 5, [1, 2]),
    found('x', 5, [3, 4]),
    found('y', 7, [5, 6]),
  ],
  'a conditional write without an answer that was done': [
    put('x', 5, [0, 1]),
    lostPut('y', 2, 5),
    found('y', 6, [3, 4]),
  ],
  'a deletion without an answer that was done': [
    put('x', 5, [0, 1]),
    operation({ key, type: 'delete' }, { type: 'absent' }, [2]),
    found('x', 5, [3, 4]),
    absent([5, 6]),
  ],
  'two writes without answers, one on the other': [
    lostPut('x', 0),
    lostPut('y', 0, 5),
    absent([1, 2]),
    found('y', 7, [3, 4]),
  ],
}

const BAD: Record<string, readonly RecordOperation[]> = {
  'a stale read': [put('x', 5, [0, 1]), put('y', 6, [2, 3]), found('x', 5, [4, 5])],
  'absent after it was written': [put('x', 5, [0, 1]), absent([2, 3])],
  'there after it was deleted': [put('x', 5, [0, 1]), remove(true, 6, [2, 3]), found('x', 5, [4, 5])],
  'versions go back': [put('x', 5, [0, 1]), put('y', 4, [2, 3])],
  'two writes have the same version': [put('x', 5, [0, 10]), put('y', 5, [0, 10])],
  'versions go back over a deletion': [put('x', 5, [0, 1]), remove(true, 9, [2, 3]), put('y', 7, [4, 5])],
  'a read tells another version than the write': [put('x', 5, [0, 1]), found('x', 6, [2, 3])],
  'a read tells the value of one write and the version of another': [
    put('x', 5, [0, 1]),
    put('y', 6, [2, 3]),
    found('y', 5, [4, 5]),
  ],
  'two writes from the same version are both done': [
    put('x', 5, [0, 1]),
    put('y', 6, [2, 9], 5),
    put('z', 7, [2, 9], 5),
  ],
  'two makers of one record': [put('x', 5, [0, 9], 0), put('y', 6, [0, 9], 0)],
  'a conditional write over another version': [put('x', 5, [0, 1]), put('y', 6, [2, 3], 4)],
  'a conditional write over no record': [put('y', 6, [2, 3], 4)],
  'a conditional deletion of another version': [put('x', 5, [0, 1]), remove(true, 6, [2, 3], 4)],
  'a conflict with the version that was asked for': [put('x', 5, [0, 1]), conflict(5, 5, [2, 3])],
  'a conflict without a condition': [put('x', 5, [0, 1]), conflict(undefined, 5, [2, 3])],
  'a conflict with a version that is not there': [put('x', 5, [0, 1]), conflict(4, 6, [2, 3])],
  'a refused write has an effect': [put('x', 5, [0, 1]), conflict(4, 5, [2, 3]), found('never', 6, [4, 5])],
  'a deletion of nothing says that there was something': [remove(true, 5, [0, 1])],
  'a deletion of something says that there was nothing': [put('x', 5, [0, 1]), remove(false, 6, [2, 3])],
  'an answer of another kind': [operation({ key, type: 'put', value: 'x' }, { type: 'absent' }, [0, 1])],
  'a read answered as a write': [operation({ key, type: 'get' }, { type: 'written', version: 1 }, [0, 1])],
  'a write without an answer has two versions': [lostPut('x', 0), found('x', 5, [1, 2]), found('x', 6, [3, 4])],
  'a write without an answer has an older version': [put('x', 5, [0, 1]), lostPut('y', 2), found('y', 4, [3, 4])],
  'a write without an answer takes a version that was given': [
    put('x', 5, [0, 1]),
    lostPut('y', 2),
    found('y', 5, [3, 4]),
  ],
  'a write without an answer is seen, then not seen': [
    put('x', 5, [0, 1]),
    lostPut('y', 2),
    found('y', 6, [3, 4]),
    found('x', 5, [5, 6]),
  ],
  'a write that was tried twice counts twice': [
    put('x', 5, [0, 9]),
    found('x', 5, [10, 11]),
    put('y', 6, [12, 13]),
    found('x', 7, [14, 15]),
  ],
  'a conditional write without an answer was done on another version': [
    put('x', 5, [0, 1]),
    lostPut('y', 2, 4),
    found('y', 6, [3, 4]),
  ],
}

for (const [name, history] of Object.entries(GOOD))
  test(`accepted: ${name}`, () => assert.equal(checkLinearizable(recordModel, history).verdict, 'linearizable'))

for (const [name, history] of Object.entries(BAD))
  test(`refused: ${name}`, () => assert.equal(checkLinearizable(recordModel, history).verdict, 'not'))
