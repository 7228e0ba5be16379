/** What agents are directed to give: once for each decision, and taken back as far as it was done. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Directive } from '../../../protocols/coordination/messages.ts'
import { DirectiveId, type PlanRecord } from '../../../protocols/coordination/plan-record.ts'
import type { ResourceAdjustment } from '../../../protocols/coordination/planner/generator.ts'
import { type DirectorDeps, PlanDirector } from '../../../protocols/coordination/runner/plan-director.ts'
import { nodeKey } from '../../../protocols/resource/resource-record.ts'

const SIGNAL = new AbortController().signal
const OFFERED = 4
const planAt = (index: number): PlanRecord =>
  ({ goal: 'g', tasks: [], assignments: [], fence: { term: 1, index } }) as unknown as PlanRecord
const cpu = (agent: string, change: number): ResourceAdjustment => ({ agent, resource: 'cpu', change })

/** Agents that give 2 cpu of 4; `c` refuses all. */
const worldOf = () => {
  const given = new Map(['a', 'b', 'c'].map((agent) => [agent, 2]))
  const known = new Map<string, unknown>()
  const sent: Directive[] = []
  const offline: string[] = []
  const records = {
    get: (key: string) => {
      const agent = [...given.keys()].find((one) => nodeKey(one) === key)
      return agent && { value: { capacity: { cpu: given.get(agent) }, used: {} } }
    },
  }
  const answered = (directive: Directive) => {
    const { target_agent, directive_id, action } = directive
    const answer = { directive_id, timestamp: directive.timestamp, source_agent: target_agent }
    if (target_agent === 'c') return { ...answer, status: 'refused', error: 'agent_unavailable', reason: 'no' }
    // The same again is not done again.
    if (action === 'adjust_resources' && !known.has(directive_id))
      for (const { change } of directive.parameters.adjustments)
        given.set(target_agent, Math.max(0, Math.min(OFFERED, (given.get(target_agent) ?? 0) + change)))
    known.set(directive_id, true)
    return { ...answer, status: 'accepted' }
  }
  const director = new PlanDirector({
    port: {
      clock: { now: () => 0, monotonic: () => 0 },
      hash: (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest()),
      log: { error() {}, warn() {}, info() {} },
    },
    member: { machine: { records } },
    sender: {
      send: async (directive: Directive) => {
        sent.push(directive)
        return answered(directive)
      },
    },
    noteRefusal() {},
    noteUnavailable: (agent: string) => void offline.push(agent),
    told() {},
  } as unknown as DirectorDeps)
  return { director, given, sent, offline }
}

test('the same adjustment by the same decision is done once, and by another one again', async () => {
  const { director, given, sent } = worldOf()
  assert.deepEqual(await director.adjust('p', planAt(7), [cpu('a', -1)], SIGNAL), {
    failed: undefined,
    done: [cpu('a', -1)],
  })
  assert.deepEqual(await director.adjust('p', planAt(7), [cpu('a', -1)], SIGNAL), { failed: undefined, done: [] })
  assert.equal(given.get('a'), 1)
  await director.adjust('q', planAt(7), [cpu('b', -1)], SIGNAL)
  await director.adjust('p', planAt(8), [cpu('a', -1)], SIGNAL)
  assert.equal(given.get('a'), 0)
  const ids = sent.map(({ directive_id }) => DirectiveId.parse(directive_id))
  assert.equal(ids[0], ids[1])
  assert.equal(new Set(ids).size, 3)
})

test('what was adjusted is taken back as far as it was done', async () => {
  const { director, given, offline } = worldOf()
  const { failed, done } = await director.adjust('p', planAt(7), [cpu('a', 9), cpu('b', -9), cpu('c', 1)], SIGNAL)
  assert.equal(failed?.error, 'agent_unavailable')
  assert.deepEqual(offline, ['c'])
  assert.deepEqual(done, [cpu('a', 2), cpu('b', -2)])
  assert.deepEqual([...given.values()], [4, 0, 2])
  await director.undo('p', planAt(7), done, SIGNAL)
  assert.deepEqual([...given.values()], [2, 2, 2])
  await director.undo('p', planAt(7), [cpu('c', 1)], SIGNAL)
})
