/** The language of the simulator's scripts: what is compared, what is rewritten, what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemOf } from '../../sim/script/run-all.ts'
import { tell, VERBS } from '../../sim/script/script.ts'

const HEAD = '# Dissertation, section 3.4\n\n'
const retold = (verbs: string): string => tell(`${HEAD}${verbs}`).text

test('what comes of each line stands beneath it, and telling it again changes nothing', () => {
  const text = retold('start 1\n# alone\nelect m0\nexpect leader m0 term 2\n')
  assert.equal(
    text,
    `${HEAD}start 1
  m0: follows nobody in term 1; writes 1/1 [m0]; commits 1
# alone
elect m0
  m0: leads in term 2; votes for m0 in term 2; writes 2/2 -; commits 2
expect leader m0 term 2
`,
  )
  assert.equal(tell(text).difference, undefined)
})

test('a script that comes out otherwise says where first, and what it is now', () => {
  const text = retold('start 1\nelect m0\n').replace('leads in term 2', 'leads in term 3')
  const told = tell(text)
  assert.equal(told.difference?.line, 6)
  assert.match(problemOf(told) ?? '', /line 6: expected .*term 3.*found .*term 2/)
  assert.equal(tell(told.text).difference, undefined)
})

test('lines that are missing or too many are a difference as well', () => {
  const text = retold('start 3\nelect m0\n')
  const lines = text.split('\n')
  assert.ok(tell(lines.filter((line) => !line.includes('m1 m2')).join('\n')).difference)
  assert.ok(tell(`${text}  and more\n`).difference)
})

test('an expectation that does not hold fails with its line, so that rewriting cannot hide it', () => {
  assert.throws(
    () => retold('start 3\nelect m1\nexpect leader m0\n'),
    /line 5: expect leader m0: .*"follower".*"leader"/,
  )
  assert.throws(() => retold('start 3\nelect m1\nexpect term all 3\n'), /term of m0 is "2", and not "3"/)
  assert.throws(() => retold('start 3\nelect m1\nexpect leader nobody\n'), /the leader is "m1"/)
  assert.throws(() => retold('start 3\nelect m1\nexpect log m1 1/1\n'), /log of m1 is "1\/1 2\/2"/)
})

test('a script that does not say which rule it shows is refused', () => {
  assert.throws(() => tell('start 1\n'), /line 1: a script cites its source/)
  assert.throws(() => tell('# Dissertation\n\nstart 1\n'), /cites its source/)
})

test('what is not known is refused with the line and what would be right', () => {
  assert.throws(() => retold('begin\n'), /line 3: begin: begin is no verb; there are start, /)
  assert.throws(() => retold('start\n'), /a word is missing\nusage: start 3/)
  assert.throws(() => retold('start three\n'), /three is not a number/)
  assert.throws(() => retold('start 3\ncut m0 m9\n'), /there is no m9/)
  assert.throws(() => retold('start 3\ncut m0 m1 both\n'), /both\?\nusage: cut/)
  assert.throws(() => retold('start 3\ndrop letters\n'), /there is no letters/)
  assert.throws(() => retold('start 3\nstart 3\n'), /it has started/)
  assert.throws(() => retold('start 3\ncrash m0\ncrash m0\n'), /m0 is down/)
  assert.throws(() => retold('start 3\nsnapshot m0\nsnapshot m0\n'), /nothing new/)
  assert.throws(() => retold('start 3\nchange m0 m1\n'), /usage: change/)
})

test('one that cannot be elected is not', () => {
  assert.throws(() => retold('start 3\ncut m0 all\nelect m0\n'), /m0 was not elected/)
})

test('every verb says how it is used, by its name', () => {
  for (const [name, { usage }] of Object.entries(VERBS)) assert.ok(usage.startsWith(name), name)
})
