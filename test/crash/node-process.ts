/**
 * A process with one node of a crash run. SIGTERM stops it in order, and it ends with 0; it ends at once when whoever
 * started it is gone.
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createMesh, type Mesh } from '../../node/index.ts'
import { createLog } from '../../node/observe/log/node-log.ts'
import { answerQuestions } from '../soak/answer.ts'
import { type Acting, startActing } from './acting.ts'
import { COUNTER, directCommand, noteCommand } from './commands.ts'
import type { NodeVerbs } from './messages.ts'
import { startedOrRefused } from './starting.ts'

const READ_MS = 10_000

let started: { readonly mesh: Mesh; readonly acting: Acting } | undefined
const own = () => {
  if (started === undefined) throw new Error('no node was started in this process')
  return started
}

const verbs: NodeVerbs = {
  async start({ options, logFile, receiver, directEveryMs }) {
    const write = (line: string): void => appendFileSync(logFile, line)
    const log = createLog({ level: 'info', human: false, fields: { source: options.name }, write })
    const coordination = { ...options.coordination, commands: [noteCommand, directCommand] }
    return await startedOrRefused(async () => {
      const mesh = await createMesh({ ...options, debug: 0, log, coordination })
      started = { mesh, acting: startActing(mesh, receiver, directEveryMs) }
      return mesh
    })
  },
  status: async () => own().mesh.coordinator.status(),
  async digest() {
    const { records } = await own().mesh.journal.list('', { consistency: 'local' })
    const hash = createHash('sha256')
    for (const { key, version, term, value } of records) hash.update(`${JSON.stringify([key, version, term, value])}\n`)
    return `${records.length} ${hash.digest('hex')}`
  },
  async counter() {
    const record = await own().mesh.journal.get(COUNTER, { timeoutMs: READ_MS })
    return record === undefined ? 'absent' : { value: String(record.value), version: record.version }
  },
  async look(path) {
    const answer = await fetch(`${own().mesh.debugUrl}${path}`)
    return { status: answer.status, body: await answer.text() }
  },
  async block(ms) {
    const endsAt = performance.now() + ms
    while (performance.now() < endsAt);
  },
  acted: async () => own().acting.acted(),
  pauseActing: async (paused) => own().acting.pause(paused),
}

process.once('SIGTERM', () => {
  const stopped = started?.mesh.stop() ?? Promise.resolve()
  stopped.then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`it did not stop: ${error}\n`)
      process.exit(1)
    },
  )
})
answerQuestions({ ...verbs })
