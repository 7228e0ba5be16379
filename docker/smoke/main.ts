/**
 * The container smoke test: starts the nodes of compose.yaml and disturbs them while a client calls all the time.
 *
 * Started by smoke.sh, which makes the engine, the image and the secret, and takes everything away afterwards. Prints
 * its steps on stderr and one line with the outcome on stdout. No call may fail, whatever happens to the nodes.
 */
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import * as z from 'zod'
import { AgentSchema, CoordinatorSchema, SelfSchema } from '../../node/observe/debug/debug-schemas.ts'
import { until } from '../../test/support/until.ts'
import { type Client, startClient } from './client.ts'
import { ask, type Container, composition, docker, isReady, logsOf, probe, stop } from './docker.ts'
import type { Method } from './load.ts'

const Settings = z.object({
  SMOKE_COMPOSE: z.string(),
  SMOKE_PROJECT: z.string(),
  SMOKE_IMAGE: z.string(),
  SMOKE_SECRET: z.string(),
  /** Seconds since 1970 at which the whole test began, image and engine included. */
  SMOKE_STARTED_AT: z.coerce.number(),
})
const settings = Settings.parse(process.env)

const SEEDS = 3
const AGENTS = 3
const MORE_AGENTS = 2
const MAX_STOP_MS = 5_000
/** A node is ready when it has joined; this is for a machine that is busy with other things. */
const READY_WITHIN_MS = 60_000
/** Until a node that fell silent is gone from the view of the others. */
const GONE_WITHIN_MS = 45_000
const CALLS_TO_SEE = 200

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

const debugPort = await freePort()
const nodes = composition({
  command: settings.SMOKE_COMPOSE,
  file: fileURLToPath(new URL('../compose.yaml', import.meta.url)),
  project: settings.SMOKE_PROJECT,
  env: {
    PARLEY_IMAGE: settings.SMOKE_IMAGE,
    PARLEY_SECRET_PATH: settings.SMOKE_SECRET,
    PARLEY_DEBUG_PORT: String(debugPort),
  },
})
const clientOf = (method: Method): Promise<Client> =>
  startClient({
    project: settings.SMOKE_PROJECT,
    method,
    image: settings.SMOKE_IMAGE,
    secretPath: settings.SMOKE_SECRET,
  })
let client: Client | undefined
let calls = 0
let slowestMs = 0

const Agents = z.object({ agents: z.array(AgentSchema) })

/** Ids of all who offer the greeter, as seed-1 sees them, asked through the page that it publishes. */
const offering = async (): Promise<string[]> => {
  const response = await fetch(`http://127.0.0.1:${debugPort}/api/agents`, { signal: AbortSignal.timeout(5_000) })
  const { agents } = Agents.parse(await response.json())
  return agents.filter(({ protocols }) => protocols.some(({ name }) => name === 'greeter')).map(({ id }) => id)
}

/** Waits until the view has these and nobody else. */
const seen = (peers: readonly string[], withinMs = READY_WITHIN_MS): Promise<unknown> => {
  const wanted = [...peers].sort().join()
  return until(
    `the view has ${peers.length} agents`,
    // The page is away while seed-1 is.
    async () => (await offering().catch(() => [])).sort().join() === wanted,
    withinMs,
    200,
  )
}

const ready = (container: Container): Promise<unknown> =>
  until(`${container.service} ${container.id} is ready`, () => isReady(container), READY_WITHIN_MS, 100)

const allReady = async (containers: readonly Container[]): Promise<void> => {
  await Promise.all(containers.map(ready))
}

const peerOf = async (container: Container): Promise<string> =>
  SelfSchema.parse(JSON.parse(await ask(container, '/api/self'))).id

const peersOf = (containers: readonly Container[]): Promise<string[]> => Promise.all(containers.map(peerOf))

const required = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new Error(`${what} is missing`)
  return value
}

const calling = (): Client => required(client, 'the client')
const agents = (): Promise<Container[]> => nodes.containers('agent')

const checkedStop = async (container: Container): Promise<void> => {
  const { exitCode, ms } = await stop(container)
  const who = `${container.service} ${container.id}`
  if (exitCode !== 0) throw new Error(`${who} ended with exit code ${exitCode} after SIGTERM`)
  if (ms > MAX_STOP_MS) throw new Error(`${who} took ${Math.round(ms)} ms to stop`)
}

const start = async (): Promise<void> => {
  await nodes.compose('config', '--quiet')
  await nodes.compose('up', '--detach', '--no-build')
  const { length } = await nodes.containers()
  if (length !== SEEDS + AGENTS) throw new Error(`compose started ${length} containers`)
}

const findEachOther = async (): Promise<void> => {
  await allReady(await nodes.containers())
  await seen(await peersOf(await agents()))
}

const View = CoordinatorSchema.pick({ meshId: true, epoch: true, leader: true, quorum: true, seats: true })
let meshId: string | undefined

/** The seed that coordinates, as seed-1 or else seed-3 says. */
const coordinating = async (): Promise<{ epoch: number; name: string }> => {
  const [asked] = [...(await nodes.containers('seed-1')), ...(await nodes.containers('seed-3'))]
  const view = View.parse(JSON.parse(await ask(required(asked, 'a seed'), '/api/coordinator')))
  if (view.leader === undefined || !view.quorum) throw new Error('nobody coordinates')
  if (meshId !== undefined && view.meshId !== meshId) throw new Error(`the mesh ${meshId} is ${view.meshId} now`)
  const voters = view.seats.filter(({ role }) => role === 'voter').length
  if (voters !== SEEDS) throw new Error(`${voters} nodes vote, and there are ${SEEDS} seeds`)
  meshId = view.meshId
  return { epoch: view.epoch, name: view.leader.name }
}
const coordinated = (): Promise<{ epoch: number; name: string }> =>
  until('a seed coordinates', () => coordinating().catch(() => undefined), READY_WITHIN_MS, 200)

/** The seeds founded one mesh, and one of them coordinates it; when that one is killed, another one does. */
const coordinate = async (): Promise<void> => {
  const { epoch, name } = await coordinated()
  const [seed] = await nodes.containers(name)
  const killed = required(seed, name)
  await docker('kill', killed.id)
  const others = ['seed-1', 'seed-2', 'seed-3'].filter((other) => other !== name)
  const [asked] = await nodes.containers(required(others[0], 'another seed'))
  await until(
    'another seed coordinates',
    async () => {
      const view = View.parse(JSON.parse(await ask(required(asked, 'a seed'), '/api/coordinator')))
      return view.epoch > epoch && view.leader !== undefined && view.leader.name !== name
    },
    READY_WITHIN_MS,
    50,
  )
  await docker('start', killed.id)
  await ready(killed)
}

/** From one container to the agent in another, and told so by the agent itself. */
const callAcross = async (): Promise<void> => {
  const [from, to] = await agents()
  const peer = await peerOf(required(to, 'a second agent'))
  const command = ['parley', 'call', 'greeter.hello', '{"name":"smoke"}', '--to', peer]
  const answer = await docker('exec', required(from, 'an agent').id, ...command)
  const wanted = JSON.stringify({ text: 'Hello, smoke!', host: to?.id })
  if (answer !== wanted) throw new Error(`the answer is ${answer} and should be ${wanted}`)
}

const startCalling = async (): Promise<void> => {
  client = await clientOf('hello')
  await client.answered(CALLS_TO_SEE)
}

const endCalling = async (client: Client): Promise<void> => {
  const tally = await client.end()
  calls += tally.calls
  slowestMs = Math.max(slowestMs, tally.slowestMs)
}

const idsOf = (containers: readonly Container[]): string[] => containers.map(({ id }) => id)

const killAgent = async (): Promise<void> => {
  const [victim, ...others] = await agents()
  const killed = required(victim, 'an agent')
  await docker('kill', killed.id)
  await calling().answered(CALLS_TO_SEE, idsOf(others))
  await seen(await peersOf(others), GONE_WITHIN_MS)
  await docker('start', killed.id)
  await ready(killed)
  await seen(await peersOf([killed, ...others]))
}

/** It comes back as the peer that it was, whatever it left behind in its volume. */
const killSeed = async (): Promise<void> => {
  const [seed] = await nodes.containers('seed-2')
  const killed = required(seed, 'seed-2')
  const peer = await peerOf(killed)
  await docker('kill', killed.id)
  await docker('start', killed.id)
  await ready(killed)
  const now = await peerOf(killed)
  if (now !== peer) throw new Error(`seed-2 was ${peer} and came back as ${now}`)
}

/** It goes on running, and nobody hears it: packets are lost instead of refused. */
const cutOne = async (): Promise<void> => {
  const [victim, ...others] = await agents()
  const cut = required(victim, 'an agent')
  const peers = await peersOf(others)
  await docker('network', 'disconnect', `${settings.SMOKE_PROJECT}_mesh`, cut.id)
  await calling().answered(CALLS_TO_SEE, idsOf(others))
  await seen(peers, GONE_WITHIN_MS)
  await docker('network', 'connect', `${settings.SMOKE_PROJECT}_mesh`, cut.id)
  await ready(cut)
  await seen([await peerOf(cut), ...peers])
  await calling().answered(CALLS_TO_SEE / 10, [cut.id])
}

/**
 * As an orchestrator does it: the next one when the last one says that it is ready, and nothing else is looked at. What
 * must not be called twice must not fail either, since nobody is killed.
 */
const restartAll = async (): Promise<void> => {
  const welcomes = await clientOf('welcome')
  for (const container of await nodes.containers()) {
    await checkedStop(container)
    await docker('start', container.id)
    await ready(container)
  }
  await seen(await peersOf(await agents()))
  await endCalling(welcomes)
}

const scaleUp = async (): Promise<void> => {
  const count = AGENTS + MORE_AGENTS
  await nodes.compose('up', '--detach', '--no-build', '--no-recreate', '--scale', `agent=${count}`)
  const containers = await agents()
  if (containers.length !== count) throw new Error(`there are ${containers.length} agents and should be ${count}`)
  await allReady(containers)
  await seen(await peersOf(containers))
  for (const { id } of containers) await calling().answered(1, [id])
}

/** The sum of a metric's series, at one node. */
const sumOf = (text: string, name: string): number =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)

/** As Prometheus does it: by address, from outside, at every node; what was called shows at those who answered. */
const scrape = async (): Promise<void> => {
  let requests = 0
  for (const container of await nodes.containers()) {
    const who = `${container.service} ${container.id}`
    const alive = await probe(container, '/healthz')
    if (!alive.ok) throw new Error(`/healthz of ${who} says ${alive.status}`)
    const content = await probe(container, '/api/self')
    if (content.status !== 404) throw new Error(`the health listener of ${who} shows /api/self`)
    const response = await probe(container, '/metrics')
    const text = await response.text()
    if (!response.ok || sumOf(text, 'parley_ready') !== 1)
      throw new Error(`${who} does not say that it is ready: ${text}`)
    requests += sumOf(text, 'parley_requests_total')
  }
  if (requests < CALLS_TO_SEE) throw new Error(`the metrics of all nodes tell of ${requests} requests`)
}

/** The health check of the image itself, which the steps before do not wait for. */
const healthy = async (): Promise<void> => {
  for (const { id, service } of await nodes.containers()) {
    const look = async () => (await docker('inspect', '--format', '{{.State.Health.Status}}', id)) === 'healthy'
    await until(`${service} ${id} is healthy`, look, READY_WITHIN_MS, 500)
  }
}

const stopAll = async (): Promise<void> => {
  await Promise.all((await nodes.containers()).map(checkedStop))
}

const STEPS: [string, () => Promise<void>][] = [
  ['start', start],
  ['find each other', findEachOther],
  ['found a mesh, lose its coordinator', coordinate],
  ['call across containers', callAcross],
  ['call all the time', startCalling],
  ['kill an agent', killAgent],
  ['kill a seed', killSeed],
  ['cut an agent off and heal', cutOne],
  ['restart the nodes one by one', restartAll],
  ['scale up', scaleUp],
  ['health checks', healthy],
  ['scrape the metrics', scrape],
  ['the same mesh, with a coordinator', async () => void (await coordinated())],
  ['no call failed', () => endCalling(calling())],
  ['stop all', stopAll],
]

/** What the nodes said, for whoever has to find out why. */
const tellLogs = async (): Promise<void> => {
  for (const container of await nodes.containers()) {
    process.stderr.write(`-- ${container.service} ${container.id}\n${await logsOf(container)}`)
  }
}

const secondsSince = (startedAtMs: number): string => ((Date.now() - startedAtMs) / 1000).toFixed(1)

for (const [name, step] of STEPS) {
  const startedAt = Date.now()
  try {
    await step()
    const slowest = client === undefined ? '' : `, slowest call so far ${client.tally().slowestMs} ms`
    process.stderr.write(`${name}: ${secondsSince(startedAt)} s${slowest}\n`)
  } catch (error) {
    await tellLogs().catch(() => {})
    const why = error instanceof Error ? error.message : inspect(error)
    process.stdout.write(`smoke: FAILED at ${name}: ${why}\n`)
    process.exit(1)
  }
}
const count = (await nodes.containers()).length
process.stdout.write(
  `smoke: ok, ${calls} calls, 0 failed, slowest ${slowestMs} ms, ${count} nodes, ${Math.round(Date.now() / 1000 - settings.SMOKE_STARTED_AT)} s\n`,
)
process.exit()
