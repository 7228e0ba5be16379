import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue, type Entry, obstacle } from '../../bench/catalogue.ts'

const entry: Entry = {
  name: 'x',
  note: '',
  packages: [],
  peer: false,
  load: () => Promise.reject(new Error('not loaded here')),
}

test('a system that needs nothing can be measured', () => {
  assert.equal(obstacle(entry, undefined), undefined)
  assert.equal(obstacle(entry, 'peers are missing'), undefined)
})

test('a peer without its client is skipped with the reason', () => {
  assert.equal(obstacle({ ...entry, peer: true }, 'peers are missing'), 'peers are missing')
})

test('a program that is not on the machine is named with the hint how to get it', () => {
  const program = { command: 'parley-no-such-program', version: '--version', hint: 'install it' }
  assert.match(obstacle({ ...entry, program }, undefined) ?? '', /parley-no-such-program cannot be run; install it/)
})

test('a program of a version that is of no use is named with the reason and its version', () => {
  const program = { command: 'x', version: () => 'v2.9.10', hint: '', refuse: () => 'needs 2.10' }
  assert.equal(obstacle({ ...entry, program }, undefined), 'needs 2.10, here is v2.9.10')
  assert.equal(obstacle({ ...entry, program: { ...program, refuse: () => undefined } }, undefined), undefined)
})

test('every system has a name of its own and can be loaded lazily', () => {
  for (const [name, one] of catalogue) assert.equal(one.name, name)
})
