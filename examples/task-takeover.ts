/**
 * An agent whose model calls are effects dies in the middle of its work, and another one finishes it: no model is asked twice for
 * what was answered. `node examples/task-takeover.ts`; with the name of a worker it is one of the agents.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createMesh, makeSecret } from '../node/index.ts'

const STEPS = ['outline', 'draft', 'review'] as const
const NAMES = ['ann', 'bob']
/** Whoever asks first dies at this step, while the model thinks. */
const FATAL = 'review'

/** An agent, as a process of its own. */
const work = async (
  name: string,
  secret: string,
  dataDir: string,
  addresses: string[],
  model: string,
): Promise<void> => {
  const mesh = await createMesh({ name, secret, dataDir, join: addresses, coordination: { expect: 3 } })
  await mesh.tasks.work('essay', async ({ input }, task) => {
    let text = String(input)
    for (const step of STEPS) {
      task.progress(STEPS.indexOf(step) / STEPS.length, { note: step })
      // Recorded once: an attempt that comes after this one gets the answer without asking.
      text = await task.effect(step, async ({ idempotencyKey, signal }) => {
        const answer = await fetch(`${model}/${step}`, {
          ...{ method: 'POST', body: text, signal },
          headers: { 'idempotency-key': idempotencyKey, 'x-agent': name },
        })
        return answer.text()
      })
    }
    return { text, by: name }
  })
  process.send?.('ready')
}

const main = async (): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
  const secret = makeSecret()
  const asked: string[] = []
  let isFirst = true
  const model = createServer((request, response) => {
    const step = request.url?.slice(1) ?? ''
    asked.push(step)
    // The model thinks for so long that its agent is killed meanwhile.
    if (step === FATAL && isFirst) {
      isFirst = false
      agents[NAMES.indexOf(String(request.headers['x-agent']))]?.kill('SIGKILL')
      return
    }
    let text = ''
    request.on('data', (piece) => {
      text += String(piece)
    })
    request.on('end', () => response.end(`${text} > ${step}`))
  })
  model.listen(0, '127.0.0.1')
  await once(model, 'listening')
  const address = model.address()
  assert.ok(address !== null && typeof address === 'object')
  const desk = await createMesh({ name: 'desk', secret, dataDir: join(folder, 'desk'), coordination: { expect: 3 } })
  const agents = NAMES.map((name) =>
    fork(fileURLToPath(import.meta.url), [
      ...[name, secret, join(folder, name), desk.self.addresses.join(',')],
      `http://127.0.0.1:${address.port}`,
    ]),
  )
  try {
    await Promise.all(agents.map((agent) => once(agent, 'message')))
    const task = await desk.tasks.submit({ type: 'essay', input: 'on meshes' })
    const result = await task.result({ timeoutMs: 30_000 })
    const { record } = await task.state()
    process.stdout.write(
      `${JSON.stringify(result)} after ${record.attempts} attempts; the model was asked for ${asked.join(', ')}\n`,
    )
    assert.equal(Reflect.get(Object(result), 'text'), 'on meshes > outline > draft > review')
    // What the model had answered was not asked again, whoever went on; the step that nobody had the answer of was.
    assert.deepEqual(
      STEPS.map((step) => asked.filter((one) => one === step).length),
      [1, 1, 2],
    )
    assert.ok(record.attempts >= 2)
  } finally {
    for (const agent of agents) agent.kill('SIGKILL')
    model.closeAllConnections()
    model.close()
    await desk.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

const [name, secret, dataDir, addresses, model] = process.argv.slice(2)
if (
  name === undefined ||
  secret === undefined ||
  dataDir === undefined ||
  addresses === undefined ||
  model === undefined
)
  await main()
else await work(name, secret, dataDir, addresses.split(','), model)
