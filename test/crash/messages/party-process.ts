/** A process with one node of a crash run of messages. It ends at once when whoever started it is gone. */
import { appendFileSync } from 'node:fs'
import { createMesh, type Mesh } from '../../../node/index.ts'
import { createLog } from '../../../node/observe/log/node-log.ts'
import { answerQuestions } from '../../soak/answer.ts'
import { startedOrRefused } from '../starting.ts'
import { createLoad, type Load } from './load.ts'
import { createRecording, type Recording } from './recording.ts'
import { Item } from './streams.ts'
import type { DeadItem, PartyVerbs } from './verbs.ts'

const PAGE = 1_000
const MIB = 1024 * 1024

let started: { readonly mesh: Mesh; readonly load: Load; readonly recording: Recording } | undefined
const own = () => {
  if (started === undefined) throw new Error('no node was started in this process')
  return started
}

const deadItemOf = async (mesh: Mesh, id: string): Promise<DeadItem> => {
  const { data, code, reason } = await mesh.messages.deadLetters.show(id)
  const { stream, n } = Item.schema.parse(data)
  return { stream, n, code, reason }
}

const verbs: PartyVerbs = {
  async start({ options, logFile, folder }) {
    const write = (line: string): void => appendFileSync(logFile, line)
    const { name = '' } = options
    const log = createLog({ level: 'info', human: false, fields: { source: name }, write })
    return await startedOrRefused(async () => {
      const mesh = await createMesh({ ...options, debug: 0, log })
      const recording = createRecording(name, folder)
      started = { mesh, load: createLoad(mesh, name, folder), recording }
      await mesh.messages.receive(Item, recording.handle)
      return mesh
    })
  },
  send: (order) => own().load.run(order),
  load: async () => own().load.figures(),
  halt: async () => own().load.halt(),
  slowDown: async (ms) => own().recording.slowDown(ms),
  figures: async () => own().mesh.messages.figures(),
  rows: ({ prefix, after }) =>
    own().mesh.messages.state.list(prefix, { limit: PAGE, ...(after !== undefined && { after }) }),
  async deadItems(after) {
    const { mesh } = own()
    const letters = await mesh.messages.deadLetters.list({
      limit: PAGE,
      type: Item.type,
      ...(after !== undefined && { after }),
    })
    const items = await Promise.all(letters.map(({ id }) => deadItemOf(mesh, id)))
    return { items, next: letters.length < PAGE ? undefined : letters.at(-1)?.id }
  },
  async look(path) {
    const answer = await fetch(`${own().mesh.debugUrl}${path}`)
    return { status: answer.status, body: await answer.text() }
  },
  async memory() {
    globalThis.gc?.()
    const { rss, heapUsed } = process.memoryUsage()
    return { rssMib: rss / MIB, heapMib: heapUsed / MIB }
  },
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
