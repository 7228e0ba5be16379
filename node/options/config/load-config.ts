/**
 * The whole configuration of a node: flags over variables over the file over what the program says itself. Files and
 * variables are read at each call.
 */
import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ParleyError } from '../../../protocols/errors.ts'
import { readSecretFile } from '../../trust/secret.ts'
import { type BuiltOptions, buildOptions, resolvePaths } from './build-options.ts'
import { readEnvironment } from './environment.ts'
import { dotted } from './key-shape.ts'
import { mergeLayers, type RankedSetting } from './merge-layers.ts'
import { configError, type Setting, type SettingIssue, type SettingLayer } from './setting-layer.ts'

export const CONFIG_NAME = 'parley.yaml'

export interface LoadConfigOptions {
  /** File that was named with --config. */
  readonly config?: string | undefined
  readonly flags?: readonly Setting[]
  /** What holds where nobody says otherwise. */
  readonly defaults?: readonly Setting[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

export interface LoadedConfig extends BuiltOptions {
  /** As it was named. */
  readonly file: string | undefined
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** `--config`, else parley.yaml here, else PARLEY_CONFIG. */
const chooseFile = async (given: string | undefined, env: NodeJS.ProcessEnv, cwd: string, notices: string[]) => {
  if (given !== undefined) return given
  const named = env.PARLEY_CONFIG === '' ? undefined : env.PARLEY_CONFIG
  if (!(await exists(resolve(cwd, CONFIG_NAME)))) return named
  if (named !== undefined && resolve(cwd, named) !== resolve(cwd, CONFIG_NAME)) {
    notices.push(`${CONFIG_NAME} of this folder is used, and not ${named}, which PARLEY_CONFIG names; --config chooses`)
  }
  return CONFIG_NAME
}

const isSecret = ({ path, value }: Setting): boolean =>
  value !== null && (path[0] === 'secret' || path[0] === 'secret_file')

const tooMany = (entry: Setting): SettingIssue => ({
  path: dotted(entry.path),
  origin: entry.origin,
  message: 'use the name of a file, or two in a list',
})

const secretsOf = async (
  entry: RankedSetting,
  layer: readonly RankedSetting[],
  cwd: string,
  isOpen: boolean,
): Promise<unknown> => {
  if (entry.path[0] === 'secret') {
    if (entry.origin.kind === 'file' && isOpen) {
      throw new ParleyError('SEC001', `${entry.origin.path} holds a secret, and others on this machine can read it`, {
        hint: `chmod 600 ${entry.origin.path}; or keep the secret in a file of its own and name that with secret_file`,
        details: { path: entry.origin.path },
      })
    }
    return entry.value
  }
  if (layer.some(({ path, origin }) => path[0] === 'secret' && origin.kind === 'file')) {
    throw configError([{ path: 'secret_file', origin: entry.origin, message: 'contradicts secret', hint: 'keep one' }])
  }
  const files = [entry.value].flat()
  const [file, old, more] = files
  if (typeof file !== 'string' || (old !== undefined && typeof old !== 'string') || more !== undefined) {
    throw configError([tooMany(entry)])
  }
  const secret = await readSecretFile(resolve(cwd, file))
  return old === undefined ? secret : [secret, await readSecretFile(resolve(cwd, old))]
}

/** The former secret, which variables name beside a new one that no flag gave. */
const formerSecret = async (env: NodeJS.ProcessEnv, cwd: string): Promise<string | undefined> => {
  if (env.PARLEY_SECRET_OLD) return env.PARLEY_SECRET_OLD
  return env.PARLEY_SECRET_OLD_FILE ? readSecretFile(resolve(cwd, env.PARLEY_SECRET_OLD_FILE)) : undefined
}

/** The entries with the secret itself in the place of the file that holds it. */
const withSecret = async (
  layers: readonly (readonly Setting[])[],
  env: NodeJS.ProcessEnv,
  cwd: string,
  isOpen: boolean,
) => {
  const all = mergeLayers(layers.map((layer) => layer.filter(isSecret)))
  const highest = Math.max(...all.map(({ rank }) => rank))
  const layer = all.filter(({ rank }) => rank === highest)
  // In one environment the variable itself comes first.
  const [first] = layer.toSorted((a, b) => dotted(a.path).length - dotted(b.path).length)
  const written = layer.find(({ path, origin }) => path[0] === 'secret_file' && origin.kind === 'file') ?? first
  if (written === undefined) return layers
  let value = await secretsOf(written, layer, cwd, isOpen)
  const former = written.origin.kind === 'flag' ? undefined : await formerSecret(env, cwd)
  if (typeof value === 'string' && former !== undefined) value = [value, former]
  const { origin } = written
  return layers.map((entries, rank) => [
    ...entries.filter((entry) => !isSecret(entry)),
    ...(rank === highest ? [{ path: ['secret'], value, origin }] : []),
  ])
}

/**
 * @throws MSG001 with every problem and its place; SEC001 where the node would be open to others, or a secret is
 */
export const loadConfig = async (options: LoadConfigOptions = {}): Promise<LoadedConfig> => {
  const { env = process.env, cwd = process.cwd(), flags = [], defaults = [] } = options
  const notices: string[] = []
  const file = await chooseFile(options.config, env, cwd, notices)
  // The parser of YAML is loaded where there is some.
  const ofFile =
    file === undefined ? undefined : await (await import('./yaml-file.ts')).readConfigFile(resolve(cwd, file), file)
  const ofEnv: SettingLayer = readEnvironment(env)
  const layers = [defaults, resolvePaths(ofFile?.entries ?? [], cwd), ofEnv.entries, flags]
  const issues = [...(ofFile?.issues ?? []), ...ofEnv.issues]
  if (issues.length > 0) {
    // What else is wrong is told with it, but no secret is looked for before the keys are right.
    buildOptions(
      layers.map((layer) => layer.filter((entry) => !isSecret(entry))),
      issues,
    )
  }
  const built = buildOptions(await withSecret(layers, env, cwd, ofFile?.isOpen === true), [])
  return { ...built, file, notices: [...notices, ...built.notices] }
}
