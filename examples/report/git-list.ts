/**
 * What git knows about a folder: the names that it tracks or would track, as byte strings, sorted, each once.
 *
 * The folder may be anybody's: nothing that its own configuration names is run (no file-system monitor, no transport,
 * no prompt), and no file of the repository is written.
 */
import { spawn } from 'node:child_process'
import { byteString } from './names.ts'

/** More than this from one `git ls-files` is not read: about two million names. */
const MAX_LISTING_BYTES = 256 * 1024 * 1024

/** A caller inside a git hook has these set, and they would point git at another repository. */
const REPOSITORY_VARIABLES = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_PREFIX',
  'GIT_COMMON_DIR',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
]

/** A repository that another user owns (a mounted volume) is listed too: with these settings git runs none of its code. */
const SETTINGS = ['-c', 'core.fsmonitor=false', '-c', 'protocol.allow=never', '-c', 'safe.directory=*']

export interface GitOptions {
  /** The git program; `git` from the path unless told. */
  program?: string
  /** Bytes of one listing, 1 to 256 MiB; a longer one counts as no listing. */
  maxBytes?: number
  signal?: AbortSignal
}

export interface GitName {
  /** Relative to the folder, as a byte string, without a slash at its end. */
  name: string
  /** A submodule or a repository inside this one: git lists its folder only. */
  repository: boolean
}

const environment = (): NodeJS.ProcessEnv => {
  const env: NodeJS.ProcessEnv = { ...process.env }
  for (const name of REPOSITORY_VARIABLES) delete env[name]
  return { ...env, GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', GIT_NO_LAZY_FETCH: '1', LC_ALL: 'C' }
}

/** Standard output of a git command; undefined where git is absent, fails, says too much or is aborted. */
const git = (folder: string, args: string[], options: GitOptions): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const child = spawn(options.program ?? 'git', [...SETTINGS, ...args], {
      cwd: folder,
      env: environment(),
      stdio: ['ignore', 'pipe', 'ignore'],
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    const chunks: Buffer[] = []
    const maxBytes = options.maxBytes ?? MAX_LISTING_BYTES
    let bytes = 0
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) child.kill()
      else chunks.push(chunk)
    })
    // No git on this machine and an abort both mean: no listing.
    child.on('error', () => resolve(undefined))
    child.on('close', (code) => resolve(code === 0 && bytes <= maxBytes ? Buffer.concat(chunks) : undefined))
  })

const split = (listing: Buffer): string[] => byteString(listing).split('\0').filter(Boolean)

/** A line of `ls-files --stage`: `<mode> <object> <stage>\t<name>`. */
const tracked = (line: string): GitName => ({
  name: line.slice(line.indexOf('\t') + 1),
  repository: line.startsWith('160000 '),
})

const untracked = (name: string): GitName =>
  name.endsWith('/') ? { name: name.slice(0, -1), repository: true } : { name, repository: false }

const orderKey = ({ name, repository }: GitName): string => (repository ? `${name}/` : name)

/**
 * True where git is the right one to ask about `folder`: it is the top of a work tree, or (only for the folder that
 * the user named, `nested` false) a part of one that the work tree does not ignore.
 */
const belongsToGit = async (folder: string, nested: boolean, options: GitOptions): Promise<boolean> => {
  const prefix = await git(folder, ['rev-parse', '--show-prefix'], options)
  if (prefix === undefined) return false
  if (prefix.toString('latin1') === '\n') return true
  return !nested && (await git(folder, ['check-ignore', '--quiet', '.'], options)) === undefined
}

/**
 * The names under `folder` that git tracks or would track, in byte order, each once. They may be gone, or no longer be
 * files. Memory: one string per name.
 * @returns undefined where git cannot say: no git, no work tree, the folder itself is ignored, a damaged repository
 */
export const gitNames = async (
  folder: string,
  nested: boolean,
  options: GitOptions = {},
): Promise<GitName[] | undefined> => {
  if (!(await belongsToGit(folder, nested, options))) return undefined
  const cached = await git(folder, ['ls-files', '-z', '--cached', '--stage'], options)
  const others = await git(folder, ['ls-files', '-z', '--others', '--exclude-standard'], options)
  if (cached === undefined || others === undefined) return undefined
  const byKey = new Map<string, GitName>()
  for (const entry of [...split(cached).map(tracked), ...split(others).map(untracked)]) {
    byKey.set(orderKey(entry), entry)
  }
  return [...byKey.keys()].sort().flatMap((key) => byKey.get(key) ?? [])
}
