/**
 * A human in the middle: an agent drafts a letter and waits for a person, and its process ends meanwhile. Another agent goes on
 * with what the person says, and writes nothing twice. One letter is approved, one refused, and one nobody looks at in time.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMesh, isParleyError, type Mesh, makeSecret, ParleyError, type TaskHandle } from '../node/index.ts'

const END_MS = 20_000
/** How long a letter waits for somebody to look at it; days where it is real. */
const PATIENT_MS = 60_000
const HASTY_MS = 1_000

const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
const secret = makeSecret()
const start = (name: string, others: readonly string[] = []) =>
  createMesh({ name, secret, dataDir: join(folder, name), coordination: { expect: 3 }, join: [...others] })
const desk = await start('desk')
const [ann, bob] = await Promise.all([start('ann', desk.self.addresses), start('bob', desk.self.addresses)])
/** Where the person sits: no vote, no disk. */
const office = await createMesh({ name: 'office', secret, join: [...desk.self.addresses, ...bob.self.addresses] })

const drafted: string[] = []

/** What an agent does about a letter. */
const writes = (agent: Mesh) =>
  agent.tasks.work('letter', async ({ id, input, metadata }, task) => {
    const draft = await task.effect('draft', () => {
      drafted.push(`${id} by ${agent.self.name}`)
      return `Dear ${String(input)}, the mesh is up.`
    })
    // The attempt ends here, and another one comes back to this line: the agent may stop, or die, while a person thinks.
    const answer = await task
      .waitFor('approval', { prompt: { draft }, status: 'input_required', timeoutMs: Number(metadata) })
      .catch((error: unknown) => {
        if (isParleyError(error, 'COM001')) return 'nobody looked at it'
        throw error
      })
    if (answer === 'nobody looked at it') return { sent: false, why: answer }
    const { approved, note } = answer as { approved: boolean; note: string }
    if (!approved) throw new ParleyError('APP001', `refused: ${note}`, { details: { retry: false } })
    return { sent: true, text: `${draft} ${note}`, by: agent.self.name }
  })

/** Resolves with what a task wants to know. */
const asked = async (task: TaskHandle) => {
  for await (const { status, record } of task.updates())
    if (status === 'input_required' && record.wait !== undefined) return record.wait
  return assert.fail(`${task.id} ended without asking`)
}

await writes(ann)
const [good, bad, missed] = await desk.tasks.submitAll([
  { id: 'letter-good', type: 'letter', input: 'Carl', metadata: PATIENT_MS },
  { id: 'letter-bad', type: 'letter', input: 'Dave', metadata: PATIENT_MS },
  { id: 'letter-missed', type: 'letter', input: 'Eve', metadata: HASTY_MS },
])
assert.ok(good && bad && missed)
const waits = await Promise.all([good, bad, missed].map(({ id }) => asked(office.tasks.get(id))))
const waiting = await office.tasks.list({ status: 'input_required' })

// Nobody holds anything for those who think: the agent that drafted goes home, and another one comes.
await ann.stop()
await writes(bob)

// The person answers by the id, from any node. On a command line beside a node:
//   parley tasks ls --status input_required
//   parley tasks provide letter-good approval '{"approved":true,"note":"Regards."}'
await office.tasks.get('letter-good').signal('approval', { approved: true, note: 'Regards.' })
await office.tasks.get('letter-bad').signal('approval', { approved: false, note: 'Dave knows already' })

const sent = await good.result({ timeoutMs: END_MS })
const [refused, late] = [await bad.ended({ timeoutMs: END_MS }), await missed.result({ timeoutMs: END_MS })]
process.stdout.write(
  `${JSON.stringify(sent)}; the second is ${refused.status} (${refused.error?.message}); the third: ${JSON.stringify(late)}\n`,
)
const { record } = await good.state()
for (const mesh of [office, bob, desk]) await mesh.stop()
await rm(folder, { recursive: true, force: true })

assert.deepEqual(
  waits.map(({ name, prompt }) => [name, prompt]),
  ['Carl', 'Dave', 'Eve'].map((who) => ['approval', { draft: `Dear ${who}, the mesh is up.` }]),
)
assert.ok(waiting.some(({ id }) => id === 'letter-good'))
assert.deepEqual(sent, { sent: true, text: 'Dear Carl, the mesh is up. Regards.', by: 'bob' })
assert.equal(record.attempts, 2)
assert.deepEqual([refused.status, refused.error?.code], ['failed', 'APP001'])
assert.deepEqual(late, { sent: false, why: 'nobody looked at it' })
// Each was drafted once, by the one that is gone.
assert.deepEqual(drafted.toSorted(), ['letter-bad by ann', 'letter-good by ann', 'letter-missed by ann'])
