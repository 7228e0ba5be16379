/** Typed events: one agent publishes, two hear; one of them by a pattern. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createMesh, defineEvent, isParleyError, makeSecret } from '../node/index.ts'

const finished = defineEvent({
  topic: 'tasks.finished',
  version: '1.0.0',
  schema: z.object({ task: z.string(), seconds: z.number().nonnegative() }),
})

const secret = makeSecret()
const worker = await createMesh({ name: 'worker', secret })
const dashboard = await createMesh({ name: 'dashboard', secret, join: worker.self.addresses })
const auditor = await createMesh({ name: 'auditor', secret, join: worker.self.addresses })
await Promise.all([dashboard.joined(), auditor.joined()])

const heard: string[] = []
const both = Promise.withResolvers<void>()
const note = (who: string, task: string): void => {
  heard.push(`${who} heard of ${task}`)
  if (heard.length === 2) both.resolve()
}
// subscribe() resolves once the others know of it: what is published from now on arrives.
await dashboard.events.subscribe(finished, ({ data }) => note('dashboard', data.task))
await auditor.events.subscribe('tasks.*', ({ topic }) => note('auditor', topic))

const receipt = await worker.events.publish(finished, { task: 'index', seconds: 1.5 })
await both.promise
process.stdout.write(`${heard.sort().join('\n')}\nsent to ${receipt.recipients} peers\n`)

// What does not fit the definition is refused before it is sent.
const refused = await worker.events.publish('tasks.*', {}).catch((error: unknown) => error)

await Promise.all([dashboard.stop(), auditor.stop(), worker.stop()])
assert.deepEqual(heard, ['auditor heard of tasks.finished', 'dashboard heard of index'])
assert.equal(receipt.recipients, 2)
assert.ok(isParleyError(refused, 'MSG001'))
