/**
 * The main job: `npm start [-- [--once] [--json] [--out FILE] [--debug-port N] [FOLDER]]`.
 *
 * Five agents as five processes find each other, work through every text document of a folder and compose a report. This
 * process is a node of the mesh as well: it starts the others, shows their progress and serves the debug endpoint.
 * With --json the last line of stdout is one JSON object; everything else goes to stderr. Exit code 0 unless something
 * failed, 2 for a wrong command line.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createMesh, isParleyError, type Mesh, makeSecret, ParleyError, type TaskRecord } from '../../node/index.ts'
import { REPORT_TASK } from './compose.ts'
import { contentProtocol, progressEvent, ReportSummary, reportProtocol, structureProtocol } from './contracts.ts'
import { type Crew, startCrew } from './crew.ts'
import { createProgress } from './progress.ts'
import { AGENTS, meshSettings } from './settings.ts'
import { endOf } from './task-end.ts'
import { checkOut } from './write-report.ts'

const USAGE = `usage: npm start [-- [options] [FOLDER]]

  FOLDER            whose documents are worked through; this repository unless told
  --out FILE        where the report goes; report.md unless told
  --once            end when the report is written
  --json            print one JSON object as the last line of stdout
  --debug-port N    port of the debug endpoint; any free one unless told
`
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const ASSEMBLE_MS = 60_000

const say = (text: string): void => void process.stderr.write(`${text}\n`)

class UsageError extends Error {}

interface Job {
  folder: string
  out: string
  once: boolean
  json: boolean
  debugPort: number
}

const readJob = (args: string[]): Job | 'help' => {
  const options = {
    out: { type: 'string' },
    once: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    'debug-port': { type: 'string', default: '0' },
    help: { type: 'boolean', short: 'h', default: false },
  } as const
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  const { values, positionals } = parsed
  if (values.help) return 'help'
  if (positionals.length > 1)
    throw new UsageError(`one folder at a time; ${JSON.stringify(positionals[1])} is too many`)
  const debugPort = Number(values['debug-port'])
  if (!/^\d{1,5}$/.test(values['debug-port']) || debugPort > 65_535) {
    throw new UsageError(`--debug-port ${values['debug-port']} is no port`)
  }
  // npm runs scripts in the package's folder; people name paths from where they stand.
  const from = process.env.INIT_CWD ?? process.cwd()
  return {
    folder: positionals[0] === undefined ? resolve(REPOSITORY) : resolve(from, positionals[0]),
    out: values.out === undefined ? resolve(REPOSITORY, 'report.md') : resolve(from, values.out),
    once: values.once,
    json: values.json,
    debugPort,
  }
}

const checkFolder = async (folder: string): Promise<void> => {
  const there = await stat(folder).catch(() => undefined)
  if (there?.isDirectory() === true) return
  throw new ParleyError('STA001', `${folder} is ${there === undefined ? 'not there' : 'no folder'}`, {
    hint: 'name a folder: npm start -- FOLDER',
  })
}

/** Resolves when every craft and the composer are offered, by all agents. */
const assembled = (mesh: Mesh): Promise<void> =>
  new Promise((resolve, reject) => {
    const needed: [string, number][] = [
      [reportProtocol.name, 1],
      [structureProtocol.name, 2],
      [contentProtocol.name, 2],
    ]
    const missing = (): string[] =>
      needed.filter(([name, count]) => mesh.directory.offers(name, 1).length < count).map(([name]) => name)
    const look = (): void => {
      if (missing().length > 0) return
      stop()
      resolve()
    }
    const limit = setTimeout(() => {
      stop()
      reject(
        new ParleyError('COM001', `after ${ASSEMBLE_MS / 1000} s nobody offers ${missing().join(', ')}`, {
          hint: 'see the lines above; is the machine overloaded?',
        }),
      )
    }, ASSEMBLE_MS)
    const changes = mesh.directory.onChange(look)
    const stop = (): void => {
      clearTimeout(limit)
      void changes.stop()
    }
    look()
  })

/** The composer may die as well: its task goes on with the next one, where it was. */
const compose = async (mesh: Mesh, job: Job, signal: AbortSignal): Promise<ReportSummary> => {
  const input = { folder: job.folder, out: job.out, agents: [...AGENTS] }
  const handle = await mesh.tasks.submit({ id: mesh.self.mesh, type: REPORT_TASK, input }, { signal })
  let losses = 0
  const onChange = (record: TaskRecord): void => {
    if (record.losses > losses) say('the composer was lost; the next one goes on')
    losses = record.losses
  }
  try {
    return ReportSummary.parse(await endOf(handle, { signal, patienceMs: ASSEMBLE_MS, onChange }))
  } catch (error) {
    // So that nobody goes on with it while all are stopping.
    if (signal.aborted) await handle.cancel('interrupted').catch(() => {})
    throw error
  }
}

const run = async (job: Job, mesh: Mesh, signal: AbortSignal): Promise<ReportSummary> => {
  const progress = createProgress(process.stderr)
  let last = { done: 0, total: 0 }
  const subscription = await mesh.events.subscribe(progressEvent, ({ data }) => {
    last = { done: data.done, total: data.total }
    progress.update({ ...last, note: data.path })
  })
  try {
    const summary = await compose(mesh, job, signal)
    progress.end({ done: summary.documents, total: summary.documents })
    return summary
  } catch (error) {
    progress.end(last)
    throw error
  } finally {
    await subscription.stop()
  }
}

/** How the work was coordinated, for people. */
const coordination = async (mesh: Mesh, signal: AbortSignal): Promise<string> => {
  const plans = (await mesh.plans.list({ signal })).filter(({ id }) => id.startsWith(`${mesh.self.mesh}-`))
  const [tasks, again] = [plans.flatMap((plan) => plan.tasks), plans.filter(({ revision }) => revision > 1)]
  const changed = again.length === 0 ? '' : `; ${again.length} made anew on the way`
  return `the coordinator directed ${tasks.length} tasks in ${plans.length} plan${plans.length === 1 ? '' : 's'}${changed}`
}

const untilInterrupted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

const work = async (job: Job): Promise<number> => {
  const stopping = new AbortController()
  const stop = (): void => {
    // The second time it is meant.
    if (stopping.signal.aborted) process.exit(130)
    stopping.abort(new ParleyError('COM001', 'interrupted', { hint: 'start it again' }))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  await checkFolder(job.folder)
  await checkOut(job.out)

  const secret = makeSecret()
  const name = `report-${process.pid}`
  const mesh = await createMesh({ ...meshSettings('desk', name, secret), debug: { port: job.debugPort } })
  say(`debug endpoint: ${mesh.debugUrl}`)
  const dataRoot = await mkdtemp(join(tmpdir(), 'parley-report-'))
  let crew: Crew | undefined
  try {
    crew = startCrew({ mesh: name, secret, join: mesh.self.addresses, dataRoot, say })
    const begun = performance.now()
    await Promise.race([assembled(mesh), untilInterrupted(stopping.signal)])
    say(`${AGENTS.length} agents found each other in ${((performance.now() - begun) / 1000).toFixed(1)} s`)
    const { leader, epoch } = await mesh.coordinator.found({ signal: stopping.signal })
    say(`the agents elected ${mesh.directory.get(leader)?.name ?? leader} as coordinator, in epoch ${epoch}`)
    const summary = await run(job, mesh, stopping.signal)
    const { documents, processed, skipped, failed, reassigned, wallMs } = summary
    say(
      `${documents} documents: ${processed} processed, ${skipped} skipped, ${failed} failed; ` +
        `${reassigned} reassigned; ${(wallMs / 1000).toFixed(1)} s`,
    )
    say(await coordination(mesh, stopping.signal))
    say(`report: ${summary.report}`)
    const { version } = await mesh.journal.put('report', { documents, processed, skipped, failed })
    say(`the outcome is on the disks of most agents, as version ${version} of the journal`)
    if (job.json) process.stdout.write(`${JSON.stringify(summary)}\n`)
    if (!job.once) {
      say('the mesh stays up: look at the debug endpoint, or press Ctrl-C')
      await untilInterrupted(stopping.signal)
    }
    return failed === 0 ? 0 : 1
  } finally {
    await crew?.stop()
    await mesh.stop()
    await rm(dataRoot, { recursive: true, force: true })
  }
}

const main = async (): Promise<number> => {
  try {
    const job = readJob(process.argv.slice(2))
    if (job === 'help') {
      process.stdout.write(USAGE)
      return 0
    }
    return await work(job)
  } catch (error) {
    if (error instanceof UsageError) {
      say(`${error.message}\n\n${USAGE}`)
      return 2
    }
    say(isParleyError(error) ? `error ${error.code}: ${error.message}\nhint: ${error.hint ?? ''}` : String(error))
    return 1
  }
}

process.exitCode = await main()
