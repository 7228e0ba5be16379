/**
 * Commits of which it can be told which are there: commit `i` puts its own row, removes the one of ten before, and writes
 * the rows `last` and `told` anew, the second by a function that tells of all that was called. State: how many were called,
 * and which is the last of those that were answered.
 */
import assert from 'node:assert/strict'
import type { RowStore } from '../../../../../protocols/delivery/store/row-storage.ts'
import { bytes, contents, gone, put } from './row-stores.ts'

const KEPT = 10
const PADDING = 'x'.repeat(200)

export interface Load {
  /** All with a number up to this one were answered. */
  answered(): number
  called(): number
  /** Calls commits until it is stopped or one fails, `inFlight` of them at a time. */
  run(store: RowStore, inFlight: number): Promise<void>
  stop(): void
}

/** @param told of each number up to which all were answered */
export const createLoad = (from = 0, told: (answered: number) => void = () => {}): Load => {
  let called = from
  let answered = from
  let isStopped = false
  const one = async (store: RowStore): Promise<void> => {
    while (!isStopped) {
      called += 1
      const i = called
      if (i % 7 === 0) store.later([put('later', String(i))])
      await store.commit([
        put(`n/${i}`, `${i} ${PADDING}`),
        gone(`n/${i - KEPT}`),
        put('last', String(i)),
        { key: 'told', value: () => bytes(String(called)) },
      ])
      // Answered in the order in which they were called.
      if (i > answered) {
        answered = i
        told(i)
      }
    }
  }
  return {
    answered: () => answered,
    called: () => called,
    async run(store, inFlight) {
      await Promise.all(Array.from({ length: inFlight }, () => one(store)))
    },
    stop() {
      isStopped = true
    },
  }
}

/** That the rows are what the commits up to some number come to. @returns that number */
export const checkRows = async (store: RowStore): Promise<number> => {
  const { last = '0', told = '0', later, ...own } = await contents(store)
  const to = Number(last)
  assert.equal(Number(told), to, 'the function tells of what is there')
  if (to >= 7) assert.equal(Number(later), to - (to % 7), 'what was put off went along')
  const numbers = Array.from({ length: Math.min(KEPT, to) }, (_, i) => to - i)
  assert.deepEqual(own, Object.fromEntries(numbers.map((i) => [`n/${i}`, `${i} ${PADDING}`])))
  return to
}
