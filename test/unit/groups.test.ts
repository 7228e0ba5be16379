import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupsOf, ownProcess } from '../groups.ts'

test('files come in groups of at most so many, each once, in their order', () => {
  assert.deepEqual(groupsOf(['a', 'b', 'c', 'd', 'e'], 2), [['a', 'b'], ['c', 'd'], ['e']])
  assert.deepEqual(groupsOf(['a', 'b'], 2), [['a', 'b']])
  assert.deepEqual(groupsOf([], 2), [])
})

test('a file that changes or measures what a process shares has one of its own', () => {
  const changes = [
    "t.mock.timers.enable({ apis: ['setTimeout'] })",
    'process.chdir(folder)',
    "process.once('SIGINT', end)",
    "process.env.NAME = 'value'",
    "const write = t.mock.method(process.stdout, 'write', (text: string) => {",
    "t.mock.method(globalThis, 'fetch')",
    "setFlagsFromString('--expose-gc')",
    'const { user } = process.cpuUsage()',
  ]
  for (const line of changes) assert.ok(ownProcess(line), line)
  const others = [
    'const { NAME } = process.env',
    'if (process.env.NAME === undefined) return',
    'process.stdout.isTTY',
    "t.mock.method(disk, 'write', () => {})",
    'assert.equal(process.cwd(), folder)',
  ]
  for (const line of others) assert.ok(!ownProcess(line), line)
})
