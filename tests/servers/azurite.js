// Loaded before Azurite, so that it stays quick with many thousands of blobs.
//
// As it comes it looks through all blobs where one is asked for, and every ten minutes through
// all extents for each one that nobody needs any more: minutes in which it answers nobody. What
// it answers is the same.

"use strict";

const { dirname } = require("path");

const blobs = dirname(process.argv[1]);
const Loki = require(require.resolve("lokijs", { paths: [blobs] }));
const { default: Extents } = require(`${blobs}/../common/persistence/MemoryExtentStore.js`);

const TELLING = ["id", "blobName", "name"];

// An index on what all documents have in common finds nothing, and is slow to keep.
const addCollection = Loki.prototype.addCollection;
Loki.prototype.addCollection = function (name, options = {}) {
  const indices = (options.indices || []).filter((index) => TELLING.includes(index));
  return addCollection.call(this, name, { ...options, indices });
};

// Conditions are tried in their order: first the one that leaves the fewest.
const results = Object.getPrototypeOf(new Loki.Collection("any").chain());
const find = results.find;
results.find = function (query, first) {
  const telling = TELLING.find((key) => query && typeof query[key] === "string");
  return find.call(this, telling ? { [telling]: query[telling], ...query } : query, first);
};

// What was deleted is swept often, so that little of it is held in memory.
require(`${blobs}/utils/constants.js`).DEFAULT_GC_INTERVAL_MS = 30000;

// In one pass over the extents, not one for each.
Extents.prototype.deleteExtents = async function (ids) {
  for (const id of ids) this.chunks.delete(this.categoryName, id);
  const { db, EXTENTS_COLLECTION } = this.metadataStore;
  db.getCollection(EXTENTS_COLLECTION).removeWhere((extent) => ids.has(extent.id));
  return ids.size;
};
