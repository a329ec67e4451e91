// An OPC UA server of node-opcua with the nodes of tests/collectors/opcua_server.py, told what to do the same way.
"use strict";

const path = require("node:path");
const readline = require("node:readline");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { LocalizedText } = require("node-opcua-data-model");
const { resolveNodeId } = require("node-opcua-nodeid");
const { OPCUAServer } = require("node-opcua-server");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { StatusCodes } = require("node-opcua-status-code");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");

console.log = console.warn = console.error; // node-opcua reports there; standard output is for answers
const answer = (line) => process.stdout.write(`${line}\n`);

const NAMESPACE = "urn:daq:simulator";
const options = { port: 0, shift: 0, items: 0, every_s: 0.1, max_nodes: 0, still: {}, hidden: [], ...JSON.parse(process.argv[2]) };
const held = Object.fromEntries(Object.entries(options.still).map(([at, [, value]]) => [at, value]));
const types = Object.fromEntries(Object.entries(options.still).map(([at, [type]]) => [at, type]));
const faults = { bad: [], retyped: [] };
const nodes = {};

const special = { nan: NaN, "-inf": -Infinity };
const wide = (value) => [Number(BigInt(value) >> 32n), Number(BigInt(value) & 0xffffffffn)];

function variant(at, value) {
  const type = faults.retyped.includes(at) ? "Double" : types[at];
  if (type === "Int64" || type === "UInt64") return new Variant({ dataType: DataType[type], arrayType: VariantArrayType.Scalar, value: wide(value) });
  if (type === "LocalizedText") value = new LocalizedText({ text: value });
  if (type === "ByteString") value = Buffer.from(value, "base64");
  if (type === "DateTime") value = new Date(value);
  if (type === "NodeId") value = resolveNodeId(value);
  if (type === "StatusCode") value = StatusCodes.Bad;
  if (type === "Float" || type === "Double") value = special[value] ?? value;
  const arrayType = Array.isArray(value) ? VariantArrayType.Array : VariantArrayType.Scalar;
  return new Variant({ dataType: DataType[type], arrayType, value });
}

function move() {
  for (const [at, node] of Object.entries(nodes)) {
    const value = at in held ? held[at] : Math.floor(Date.now() / 1000 / options.every_s) + (at.startsWith("Load") ? at.slice(5) / 1e6 : 0);
    node.setValueFromSource(variant(at, value), faults.bad.includes(at) ? StatusCodes.BadSensorFailure : StatusCodes.Good);
  }
}

async function main() {
  const pki = new OPCUACertificateManager({
    rootFolder: path.join(options.pki, "pki"), automaticallyAcceptUnknownCertificate: !options.trusted, disableFileWatchers: true,
  });
  await pki.initialize();
  const server = new OPCUAServer({
    port: options.port || (await freePort()),
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    serverCertificateManager: pki,
    userCertificateManager: pki,
    allowAnonymous: !options.user,
    userManager: { isValidUser: (name, password) => name === options.user && password === options.password },
    securityPolicies: (options.policies ?? ["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]).map((p) => SecurityPolicy[p]),
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    serverCapabilities: options.max_nodes
      ? { operationLimits: { maxNodesPerRead: options.max_nodes, maxMonitoredItemsPerCall: options.max_nodes, maxNodesPerTranslateBrowsePathsToNodeIds: options.max_nodes, maxNodesPerBrowse: options.max_nodes } }
      : undefined,
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  for (let n = 0; n < options.shift; n++) space.registerNamespace(`urn:daq:other:${n}`);
  const namespace = space.registerNamespace(NAMESPACE);
  const plant = namespace.addFolder("ObjectsFolder", { browseName: "Plant", nodeId: "s=Plant" });
  const folders = {};

  function add(at) {
    const [folder, name] = at.split(".");
    folders[folder] ??= namespace.addFolder(plant, { browseName: folder, nodeId: `s=${folder}` });
    nodes[at] = namespace.addVariable({
      componentOf: folders[folder], browseName: name, nodeId: `s=${at}`, dataType: types[at], minimumSamplingInterval: 0,
      valueRank: -2,
    });
  }

  types["Moving.Count"] = "Int64";
  for (let n = 0; n < options.items; n++) types[`Load.${n}`] = "Double";
  for (const at of Object.keys(types)) if (!options.hidden.includes(at) && !(options.items && at in held)) add(at);
  move();
  await server.start();
  setInterval(move, options.every_s * 1000);
  answer(server.endpoints[0].port);

  const commands = {
    set: ({ set, to }) => { held[set] = to; },
    bad: ({ bad }) => { faults.bad = bad; },
    retyped: ({ retyped }) => {
      faults.retyped = retyped;
      for (const [at, node] of Object.entries(nodes)) {
        node.dataType = space.findDataType(retyped.includes(at) ? "Double" : types[at]).nodeId;
        node._basicDataType = null; // what it keeps of the type before
      }
    },
    show: ({ show }) => add(show),
    delete: (command) => { space.deleteNode(nodes[command.delete]); delete nodes[command.delete]; },
    trust: async ({ trust }) => pki.trustCertificate(require("node:fs").readFileSync(trust)),
    namespace: () => namespace.index,
    sessions: () => server.engine.currentSessionCount,
    end_sessions: () => {
      for (const session of Object.values(server.engine._sessions)) server.engine.closeSession(session.authenticationToken, true, "Terminated");
    },
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    const name = Object.keys(commands).find((key) => key in command);
    const found = await commands[name](command);
    if (!name !== "burst") move();
    answer(JSON.stringify(["namespace", "sessions"].includes(name) ? found : null));
  }
  process.exit(0);
}

function freePort() {
  return new Promise((resolve) => {
    const probe = require("node:net").createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

main();
