/**
 * One agent as one process: a node, and the agent's module in a worker thread of it.
 *
 * Started by main.ts with `NAME MESH FOLDER ADDRESS...` and the secret in the environment; ends when it is told to, or when the
 * channel to its parent closes, so that no agent outlives the job.
 */
import { fileURLToPath } from 'node:url'
import { createMesh, startAgent } from '../../node/index.ts'
import { startWork } from './agent-work.ts'
import { isAgent, meshSettings, votingIn } from './settings.ts'

const [name, meshName, dataDir, ...join] = process.argv.slice(2)
const secret = process.env.PARLEY_SECRET
if (
  !isAgent(name) ||
  meshName === undefined ||
  dataDir === undefined ||
  secret === undefined ||
  process.send === undefined
) {
  process.stderr.write('this program is started by examples/report/main.ts\n')
  process.exit(2)
}

const mesh = await createMesh({ ...meshSettings(name, meshName, secret), ...votingIn(dataDir), join })
const agent = startAgent(mesh, fileURLToPath(new URL(`./agents/${name}.ts`, import.meta.url)))

let ending = false
const end = async (code: number): Promise<void> => {
  if (ending) return
  ending = true
  await agent.stop()
  await mesh.stop()
  process.exit(code)
}
process.on('disconnect', () => void end(0))
// The parent may have gone while this node started.
if (!process.connected) await end(0)
process.on('message', (message) => void (message === 'stop' && end(0)))
// Ctrl-C reaches the whole group: the parent decides when its agents end.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => void end(0))
agent.exited.then(
  () => end(0),
  (error: unknown) => {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    return end(1)
  },
)
await startWork(mesh, name, agent.ready)
await mesh.joined()
