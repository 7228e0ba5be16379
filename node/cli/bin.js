#!/usr/bin/env node
// The command `parley`. Written for old versions of Node, so that one that is too old says so instead of failing on
// syntax it does not know. Runs the sources where they are, and the build where the package is installed: Node does not
// strip types under node_modules.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const numbers = process.versions.node.split('.').map(Number)

if (numbers[0] < 22 || (numbers[0] === 22 && numbers[1] < 18)) {
  process.stderr.write(
    `parley needs Node 22.18 or newer and this is Node ${process.versions.node}: install a newer one from https://nodejs.org, or run it as \`npx -p node@24 node\` with this file.\n`,
  )
  process.exit(1)
}

// Compiled modules are kept: compiling them again is a third of a start. Below the user's own folder, since whoever can
// write there decides what runs. NODE_COMPILE_CACHE and NODE_DISABLE_COMPILE_CACHE are Node's own, and go first.
if (process.env.NODE_COMPILE_CACHE === undefined) {
  module.enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'parley'))
}

const source = fileURLToPath(new URL('./main.ts', import.meta.url))
const fromSource = existsSync(source) && !/[\\/]node_modules[\\/]/.test(source)

import(new URL(fromSource ? './main.ts' : '../../dist/command/main.js', import.meta.url).href)
  .then((cli) => cli.main(process.argv.slice(2)))
  .catch((error) => {
    process.stderr.write(`parley could not start: ${error.stack || error}\n`)
    process.exit(1)
  })
