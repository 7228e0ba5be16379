/** The task of a report in a mesh that is stopped in the middle and started again: with the same id it goes on. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startWork } from '../../examples/report/agent-work.ts'
import { batchesOf } from '../../examples/report/batches.ts'
import { REPORT_TASK } from '../../examples/report/compose.ts'
import { progressEvent, ReportSummary } from '../../examples/report/contracts.ts'
import { createMesh, makeSecret, startAgent } from '../../node/index.ts'
import { programOf } from '../support/program.ts'
import { until } from '../support/until.ts'

const DOCUMENTS = 600
const NAMES = ['outliner', 'keyworder', 'composer'] as const
const root = mkdtempSync(join(tmpdir(), 'parley-report-'))
after(() => rmSync(root, { recursive: true, force: true }))

describe('a report whose mesh is started again', { timeout: 110_000 }, () => {
  test('goes on with what was recorded, and once it is written the same id is the same report', async () => {
    const folder = mkdtempSync(join(root, 'folder-'))
    const out = join(root, 'report.md')
    const text = 'A mesh has no broker in the middle. Every peer proves who it is. '.repeat(40)
    for (let i = 0; i < DOCUMENTS; i += 1) writeFileSync(join(folder, `${i}.md`), `# Number ${i}\n\n${text}\n`)
    const secret = makeSecret()
    const dataDir = join(root, 'data')
    /** One node that does what five do. */
    const startMesh = async () => {
      const mesh = await createMesh({ name: 'all', secret, dataDir, log: 'error', timings: { drainMs: 200 } })
      const agents = NAMES.map((name) => startAgent(mesh, programOf(`examples/report/agents/${name}.ts`)))
      await Promise.all(NAMES.map((name, i) => startWork(mesh, name, agents[i]?.ready ?? Promise.resolve())))
      const stop = async (): Promise<void> => {
        await Promise.all(agents.map((agent) => agent.stop()))
        await mesh.stop()
      }
      return { mesh, stop }
    }
    const task = { id: 'report-1', type: REPORT_TASK, input: { folder, out, agents: [...NAMES] } }

    const { mesh: first, stop: stopFirst } = await startMesh()
    let done = 0
    await first.events.subscribe(progressEvent, ({ data }) => {
      done = data.done
    })
    await first.tasks.submit(task)
    await until('the first batch', () => done > 0, 60_000, 1)
    await stopFirst()
    assert.ok(done < DOCUMENTS, 'it was stopped in the middle')

    // What was found is found: it is not walked again.
    writeFileSync(join(folder, 'late.md'), '# Late\n')
    const { mesh: second, stop: stopSecond } = await startMesh()
    const again = await second.tasks.submit(task)
    const summary = ReportSummary.parse(await again.result({ timeoutMs: 60_000 }))
    assert.equal(second.tasks.counts().effectsKnown, 1)
    const batches = batchesOf(Array.from({ length: DOCUMENTS }, (_, i) => ({ file: `${i}.md`, bytes: text.length })))
    assert.ok(second.tasks.counts().completed < 2 * batches.length + 1, 'some were done before')
    assert.deepEqual([summary.documents, summary.processed, summary.failed], [DOCUMENTS, DOCUMENTS, 0])
    const report = readFileSync(out, 'utf8')
    assert.ok(report.includes('599.md') && !report.includes('late.md'))
    const { completed } = second.tasks.counts()
    const same = await second.tasks.submit(task)
    assert.deepEqual(ReportSummary.parse(await same.result({ timeoutMs: 10_000 })), summary)
    assert.equal(second.tasks.counts().completed, completed)
    assert.equal(readFileSync(out, 'utf8'), report)
    await stopSecond()
  })
})
