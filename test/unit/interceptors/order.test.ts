import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../protocols/errors.ts'
import { orderInterceptors } from '../../../protocols/interceptors/chains.ts'
import { defineInterceptor, type Interceptor, MAX_INTERCEPTORS } from '../../../protocols/interceptors/interceptor.ts'

const one = (name: string, about: Partial<Interceptor> = {}): Interceptor => ({
  name,
  call: (_, next) => next(),
  ...about,
})
const orderOf = (...list: Interceptor[]) => orderInterceptors(list).map(({ name }) => name)
const refuses = (list: Interceptor[], text: RegExp) =>
  assert.throws(
    () => orderInterceptors(list),
    (error) => isParleyError(error, 'MSG001') && text.test(error.message),
  )

test('interceptors stand as they are listed', () => {
  assert.deepEqual(orderOf(one('c'), one('a'), one('b')), ['c', 'a', 'b'])
})

test('who is to stand in front of another one is moved there, and the others keep their places', () => {
  assert.deepEqual(orderOf(one('a'), one('b'), one('c', { before: ['b'] })), ['a', 'c', 'b'])
  assert.deepEqual(orderOf(one('a', { after: ['c'] }), one('b'), one('c')), ['c', 'a', 'b'])
})

test('names that stand twice, that nobody has, and circles are refused', () => {
  refuses([one('a'), one('a')], /two interceptors with the name a/)
  refuses([one('a', { before: ['audit'] })], /"audit", which is no other one/)
  refuses([one('a', { after: ['a'] })], /no other one/)
  refuses([one('a', { before: ['b'] }), one('b', { before: ['a'] })], /in front of each other/)
})

test('there are at most 32', () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => one(`i${at}`))
  assert.equal(orderInterceptors(many(MAX_INTERCEPTORS)).length, 32)
  refuses(many(MAX_INTERCEPTORS + 1), /at most 32/)
})

test('any order that can be had is had, and is the same each time', () => {
  const pairs = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 12 })
  fc.assert(
    fc.property(pairs, (given) => {
      // From lower to higher numbers: without circles. The list runs backwards.
      const edges = given.filter(([a, b]) => a !== b).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
      const list = [...Array(8).keys()]
        .reverse()
        .map((at) => one(`i${at}`, { before: edges.filter(([from]) => from === at).map(([, to]) => `i${to}`) }))
      const ordered = orderOf(...list)
      for (const [from, to] of edges) assert.ok(ordered.indexOf(`i${from}`) < ordered.indexOf(`i${to}`))
      assert.deepEqual(orderOf(...list), ordered)
    }),
  )
})

test('what is no interceptor is refused with what to do', () => {
  const bad: [unknown, RegExp][] = [
    [undefined, /not an object/],
    [{ name: 'Audit', call() {} }, /not usable/],
    [{ name: 'a'.repeat(65), call() {} }, /not usable/],
    [{ name: 'audit' }, /has no hook/],
    [{ name: 'audit', call: 1 }, /call of the interceptor audit is no function/],
    [{ name: 'audit', calls() {} }, /"calls" is unknown/],
    [{ name: 'audit', call() {}, before: 'cache' }, /not lists of names/],
  ]
  for (const [given, text] of bad)
    assert.throws(
      () => defineInterceptor(given as Interceptor),
      (error) => isParleyError(error, 'MSG001') && text.test(error.message) && error.hint !== undefined,
    )
})

test('an object of a class may keep state of its own', () => {
  class Budget {
    readonly name = 'budget'
    left = 3
    call() {
      this.left -= 1
    }
  }
  const budget = new Budget()
  assert.equal(defineInterceptor(budget), budget)
})
