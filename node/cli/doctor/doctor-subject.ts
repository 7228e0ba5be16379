/**
 * What `parley doctor` looks at: the settings of a node as `parley up` would have them, and the node itself where it runs.
 * A setting that is wrong is kept as a problem, so that all else can still be looked at.
 */
import { constants } from 'node:fs'
import { access, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import { type LoadedConfig, loadConfig } from '../../options/config/load-config.ts'
import type { Setting } from '../../options/config/setting-layer.ts'
import { type MeshOptions, parseOptions } from '../../options/schema.ts'
import { systemCode } from '../../platform/private-file.ts'
import { type FoundNode, readNodes } from '../../store/data-directory.ts'
import { makeSecret } from '../../trust/secret.ts'
import { meshNameOf } from '../connect/node-endpoint.ts'
import { DATA_ROOT, runningNodes } from '../connect/running-nodes.ts'

/** A node that is well says its mesh in some milliseconds. */
const MESH_MS = 2_000

export interface DoctorOptions {
  config?: string
  dataDir?: string
  node?: string
  name?: string
  mesh?: string
  join?: string[]
  listen?: string[]
  secretFile?: string[]
  allowWeakSecret?: boolean
  json?: boolean
}

export interface DoctorSubject {
  readonly options: MeshOptions
  /** The configuration file, where there is one. */
  readonly file: string | undefined
  /** Keys that somebody gave, as in `data_dir`. */
  readonly given: ReadonlySet<string>
  readonly notices: readonly string[]
  /** Absolute; undefined: nobody said which, and none was found. */
  readonly dataDir: string | undefined
  /** It is no folder, or may not be looked into. */
  readonly isBlocked: boolean
  /** Names of the nodes that could be meant, where nobody said which. */
  readonly others: readonly string[]
  /** It runs, with that data directory. */
  readonly node: FoundNode | undefined
  /** Its note, also of one that does not run. */
  readonly note: FoundNode | undefined
  readonly mesh: string
  readonly secrets: readonly string[]
  /** Of the settings; MSG001. */
  readonly configProblem: ParleyError | undefined
  /** Of the secret, or that there is none where one is needed; SEC001. What it is of is not known then. */
  readonly secretProblem: ParleyError | undefined
  /** The first is what was asked for; else the node itself, where it runs. */
  readonly join: readonly string[]
  readonly joinsItself: boolean
}

const entriesOf = (options: DoctorOptions): Setting[] => {
  const flag = (name: string, path: string[], value: unknown): Setting[] =>
    value === undefined ? [] : [{ path, value, origin: { kind: 'flag', name } }]
  return [
    ...flag('--data-dir', ['data_dir'], options.dataDir && resolve(options.dataDir)),
    ...flag('--name', ['name'], options.name),
    ...flag('--mesh', ['mesh'], options.mesh),
    ...flag('--join', ['join'], options.join),
    ...flag('--listen', ['listen'], options.listen),
    ...flag('--secret-file', ['secret_file'], options.secretFile),
    ...flag('--allow-weak-secret', ['allow_weak_secret'], options.allowWeakSecret),
  ]
}

type Settings = Pick<
  DoctorSubject,
  'options' | 'file' | 'given' | 'notices' | 'secrets' | 'configProblem' | 'secretProblem'
>

const settingsOf = (loaded: LoadedConfig): Settings => ({
  options: loaded.options,
  file: loaded.file,
  given: new Set(loaded.sources.keys()),
  notices: loaded.notices,
  secrets: loaded.options.secret ?? [],
  configProblem: undefined,
  secretProblem: undefined,
})

/** With a secret that nobody has, to see what else the settings say. */
const withoutSecret = async (options: DoctorOptions, problem: ParleyError): Promise<Settings> => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_SECRET')))
  const made: Setting = { path: ['secret'], value: makeSecret(), origin: { kind: 'flag', name: 'doctor' } }
  const { secretFile: _, ...others } = options
  const flags = [...entriesOf(others), made]
  const settings = settingsOf(await loadConfig({ config: options.config, flags, env }))
  const given = new Set([...settings.given].filter((key) => key !== 'secret'))
  return { ...settings, given, secrets: [], secretProblem: problem }
}

/** Only what the command line says, where the configuration cannot be used. */
const withoutFile = (options: DoctorOptions, problem: ParleyError): Settings => {
  const { name, dataDir, mesh } = options
  const known = { ...(name && { name }), ...(dataDir && { dataDir }), ...(mesh && { mesh }) }
  const base = { file: options.config, given: new Set(Object.keys(known)), notices: [], secrets: [] }
  return { ...base, options: parseOptions(known), configProblem: problem, secretProblem: undefined }
}

const settings = async (options: DoctorOptions): Promise<Settings> => {
  try {
    return settingsOf(await loadConfig({ config: options.config, flags: entriesOf(options) }))
  } catch (error) {
    if (!isParleyError(error)) throw error
    if (error.code !== 'SEC001') return withoutFile(options, error)
    try {
      return await withoutSecret(options, error)
    } catch (second) {
      if (!isParleyError(second)) throw second
      return { ...withoutFile(options, second), secretProblem: error }
    }
  }
}

const isNodeFolder = async (name: string): Promise<boolean> => {
  try {
    return (await stat(join(DATA_ROOT, name, 'identity.key'))).isFile()
  } catch {
    return false
  }
}

/** The folder that was named, or the only one that could be meant. */
const findDirectory = async (options: DoctorOptions, found: Settings) => {
  if (found.options.dataDir !== undefined) return { dataDir: found.options.dataDir, others: [] }
  if (options.node !== undefined) return { dataDir: resolve(DATA_ROOT, options.node), others: [] }
  if (found.given.has('name')) return { dataDir: resolve(DATA_ROOT, found.options.name), others: [] }
  const names: string[] = []
  for (const name of await readdir(DATA_ROOT).catch(() => [])) if (await isNodeFolder(name)) names.push(name)
  const running = (await runningNodes()).map(({ directory }) => basename(directory))
  const candidates = names.length === 1 ? names : running
  const [first, second] = candidates
  if (first === undefined || second !== undefined) return { dataDir: undefined, others: names.sort() }
  return { dataDir: resolve(DATA_ROOT, first), others: [] }
}

const noteIn = async (dataDir: string | undefined): Promise<FoundNode | undefined> => {
  if (dataDir === undefined) return undefined
  const found = await readNodes(dirname(dataDir)).catch(() => [])
  return found.find(({ directory }) => basename(directory) === basename(dataDir))
}

/** A folder that is not there yet is made by the first start. */
const isBlocked = async (dataDir: string): Promise<boolean> => {
  try {
    await access(dataDir, constants.R_OK | constants.X_OK)
    return !(await stat(dataDir)).isDirectory()
  } catch (error) {
    return systemCode(error) !== 'ENOENT'
  }
}

/** Of a node that answers. */
const meshWithin = (node: FoundNode): Promise<string | undefined> =>
  Promise.race([meshNameOf(node).catch(() => undefined), setTimeout(MESH_MS, undefined, { ref: false })])

/** Nodes of one folder that are looked at together. */
const MAX_NODES = 8

/** What was named, or the only one that could be meant; where several run, each of them. */
export const subjectsOf = async (options: DoctorOptions): Promise<DoctorSubject[]> => {
  const first = await subjectOf(options)
  if (first.dataDir !== undefined || first.others.length === 0) return [first]
  // Whose configuration it is has to be known first.
  if (options.config !== undefined || first.configProblem !== undefined) return [first]
  const running = (await runningNodes()).slice(0, MAX_NODES).map(({ directory }) => basename(directory))
  if (running.length < 2) return [first]
  return Promise.all(running.map((node) => subjectOf({ ...options, node })))
}

const subjectOf = async (options: DoctorOptions): Promise<DoctorSubject> => {
  const found = await settings(options)
  const { dataDir, others } = await findDirectory(options, found)
  const note = await noteIn(dataDir)
  const node = note?.alive === true ? note : undefined
  const meshName = found.given.has('mesh') || node === undefined ? undefined : await meshWithin(node)
  const joinsItself = found.options.join.length === 0 && node !== undefined
  return {
    ...found,
    dataDir,
    isBlocked: dataDir !== undefined && (await isBlocked(dataDir)),
    others,
    note,
    node,
    mesh: meshName ?? found.options.mesh,
    join: joinsItself ? node.addresses : found.options.join,
    joinsItself,
  }
}
