// Stands for the built frontend of a real archive.
//# sourceMappingURL=app.js.map
