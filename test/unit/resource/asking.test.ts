/** What programs ask for, and messages of seed 001: what cannot be used is refused, in words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../protocols/errors.ts'
import { deniedMessage, readResourceMessage } from '../../../protocols/resource/client/resource-messages.ts'
import { wantedAllocation } from '../../../protocols/resource/client/wanted-allocation.ts'
import { unitsOf } from '../../../protocols/resource/requirements.ts'

const wanted = (given: unknown) => wantedAllocation({ random: (count) => new Uint8Array(count) }, given as never)
const refused = (fn: () => unknown): string => {
  try {
    fn()
    return 'none'
  } catch (error) {
    return isParleyError(error) ? `${error.code} ${error.message}` : String(error)
  }
}

test('an allocation is asked for by units, some of the same, or parts', () => {
  assert.deepEqual(wanted({ units: { cpu: 1 } }).ask, {
    ...{ priority: 1, parts: [{ units: { cpu: 1 } }], waitMs: 30_000 },
  })
  const two = wanted({ units: { cpu: 1 }, count: 2, spread: true, priority: 'critical', timeoutMs: 0 }).ask
  assert.deepEqual(two, {
    ...{ priority: 3, parts: [{ units: { cpu: 1 } }, { units: { cpu: 1 } }], spread: true, waitMs: 0 },
  })
  assert.equal(wanted({ units: { cpu: 1 } }).id.length, 16)
  assert.equal(
    JSON.stringify(wanted({ units: { gpu: 1, cpu: 2 } }).ask),
    JSON.stringify(wanted({ units: { cpu: 2, gpu: 1 } }).ask),
  )
  assert.equal(wanted({ units: { cpu: 1 }, id: 'mine' }).id, 'mine')
  assert.deepEqual(wanted({ parts: [{ units: { gpu: 1 }, owner: 'p' }] }).ask.parts, [
    { units: { gpu: 1 }, owner: 'p' },
  ])
})

test('what cannot be asked for is refused, and says which field it is', () => {
  const bad: readonly (readonly [what: unknown, named: RegExp])[] = [
    [{}, /units/],
    [{ units: { cpu: 1 }, parts: [{ units: { cpu: 1 } }] }, /units/],
    [{ units: { cpu: 0 } }, /parts/],
    [{ units: {} }, /parts/],
    [{ units: { cpu: 1.5 } }, /cpu/],
    [{ units: { cpu: -1 } }, /cpu/],
    [{ units: { cpu: 2 ** 53 } }, /cpu/],
    [{ units: { 'No Such': 1 } }, /No Such: use 1 to 48 small letters/],
    [{ units: { ['__proto__' as string]: 1, UP: 1 } }, /UP/],
    [{ units: { cpu: 1 }, count: 0 }, /parts/],
    [{ units: { cpu: 1 }, count: 65 }, /parts/],
    [{ units: { cpu: 1 }, count: 1e9 }, /parts/],
    [{ units: { cpu: 1 }, count: Number.NaN }, /parts/],
    [{ units: { cpu: 1 }, id: 'a b' }, /id/],
    [{ units: { cpu: 1 }, timeoutMs: -1 }, /timeoutMs/],
    [{ units: { cpu: 1 }, timeoutMs: Number.NaN }, /timeoutMs/],
    [{ units: { cpu: 1 }, priority: 'urgent' }, /priority: use one of low, normal, high, critical/],
    [{ units: { cpu: 1 }, wait: true }, /wait/],
    [{ parts: Array.from({ length: 65 }, () => ({ units: { cpu: 1 } })) }, /parts/],
  ]
  for (const [what, named] of bad) {
    const said = refused(() => wanted(what))
    assert.match(said, /^MSG001/, JSON.stringify(what))
    assert.match(said, named)
  }
})

test('requirements of seed 001 become whole units, rounded up', () => {
  assert.deepEqual(unitsOf({ cpu_cores: 1.5, memory_gb: 0.5, storage_gb: 0, gpu_units: 2, resources: { arm: 1 } }), {
    ...{ arm: 1, cpu: 1_500, memory: 536_870_912, gpu: 2 },
  })
  // As decimal fractions, which are no binary ones.
  assert.deepEqual(unitsOf({ cpu_cores: 2.007 }), { cpu: 2_007 })
  assert.deepEqual(unitsOf({ cpu_cores: 2.0071 }), { cpu: 2_008 })
  const read = readResourceMessage('resource.allocate', {
    ...{ request_id: 'r', task_id: 't', requirements: { cpu_cores: 0.0001 }, priority: 3, allocation_timeout: 7 },
  })
  assert.deepEqual(read, {
    ...{ type: 'resource.allocate', task: 't' },
    what: { id: 'r', task: 't', units: { cpu: 1 }, priority: 'critical', timeoutMs: 7 },
  })
})

test('messages that are none are refused', () => {
  const good = { request_id: 'r', task_id: 't', requirements: { cpu_cores: 1 } }
  assert.match(
    refused(() => readResourceMessage('resource.steal', good)),
    /^MSG004/,
  )
  assert.match(
    refused(() => readResourceMessage('constructor', good)),
    /^MSG004/,
  )
  for (const [i, payload] of [
    ...[null, 7, [], {}, { ...good, task_id: 'a/b' }, { ...good, requirements: 1 }, { ...good, priority: 9 }],
    ...[
      { ...good, requirements: { cpu_cores: -1 } },
      { ...good, requirements: { tpu: 1 } },
    ],
    ...[
      { ...good, request_id: '' },
      { ...good, requirements: { resources: { 'a b': 1 } } },
    ],
  ].entries())
    assert.match(
      refused(() => readResourceMessage('resource.allocate', payload)),
      /^MSG001/,
      String(i),
    )
  assert.match(
    refused(() => readResourceMessage('resource.release', { task_id: 't', resource_ids: 'x' })),
    /^MSG001/,
  )
  assert.match(
    refused(() => deniedMessage('t', new Error('a bug'))),
    /a bug/,
    'what is no refusal is not one',
  )
})
