/** What a program can reach on a mesh: a member that is added, or that goes, is listed here and told in the CHANGELOG. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMesh, isParleyError, startAgent } from '../../node/index.ts'

const MEMBERS = [
  ...[
    'activity',
    'all',
    'any',
    'budgets',
    'coalitions',
    'commands',
    'coordinator',
    'debugUrl',
    'directory',
    'drain',
    'events',
    'fences',
    'figures',
  ],
  ...[
    'healthUrl',
    'joined',
    'journal',
    'members',
    'messages',
    'notReady',
    'notifications',
    'onMember',
    'onStopRequest',
  ],
  ...['part', 'plans', 'port', 'readiness', 'reload', 'replies', 'resources', 'self', 'serve', 'stop', 'tasks', 'to'],
]

test('a mesh has the members that are listed, and none of the node alone', { timeout: 30_000 }, async () => {
  await using mesh = await createMesh({ log: 'silent' })
  assert.deepEqual(Object.keys(mesh).toSorted(), MEMBERS.toSorted())
  assert.deepEqual(Object.getOwnPropertySymbols(mesh), [Symbol.asyncDispose])
  assert.deepEqual(Object.keys(mesh.activity), ['current'])
  assert.deepEqual(Object.keys(mesh.directory).toSorted(), ['agents', 'announce', 'find', 'get', 'offers', 'onChange'])
  assert.deepEqual(Object.keys(mesh.self).toSorted(), ['addresses', 'id', 'incarnation', 'mesh', 'name'])
})

test('an agent is refused by what looks like a mesh and is none', { timeout: 30_000 }, async () => {
  await using mesh = await createMesh({ log: 'silent' })
  const file = new URL('../support/agents/toil.ts', import.meta.url).pathname
  const running = startAgent({ ...mesh }, file)
  await assert.rejects(running.ready, (error) => isParleyError(error, 'MSG001'))
  await running.stop()
})
