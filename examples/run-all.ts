/** Runs every example as its own process; fails when one of them does. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const EXAMPLES = [
  'hello',
  'pub-sub',
  'streaming',
  'scatter-gather',
  'journal',
  'task-pipeline',
  'task-takeover',
  'task-approval',
  'messages',
  'tool-agent',
  'llm-agent',
  'llm-budget',
  'http-service',
  'custom-protocol',
  'third-party-part',
  'interceptors',
]
const TIMEOUT_MS = 60_000

let failed = 0
for (const name of EXAMPLES) {
  const startedAt = performance.now()
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [file], {
    timeout: TIMEOUT_MS,
    encoding: 'utf8',
  })
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  process.stdout.write(`${status === 0 ? 'ok' : `FAILED (${signal ?? status})`} ${name} ${seconds} s\n`)
  if (status === 0) continue
  failed += 1
  process.stdout.write(`${stdout}${stderr}\n`)
}
process.exitCode = failed === 0 ? 0 : 1
